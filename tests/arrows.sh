#!/bin/sh
# Prints every arrow between two files of the house: "FROM TO" for each header that a file includes, and for each .c file
# whose object uses a symbol that another's defines.
#
#   tests/arrows.sh BUILD      BUILD: a build folder of this tree
set -eu
cd "$(dirname "$0")/.."
objects=$1/CMakeFiles

grep -rHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"(engine|dist|io|launch)/' engine dist io launch --include='*.[ch]' |
    sed -E 's/^([^:]*):[^"]*"([^"]*)".*/\1 \2/'

# "FILE T symbol" of every object, FILE being the source's path.
find "$objects" -path "$objects/lk_*.dir/*" -name '*.c.o' ! -path '*/generated/*' | sort |
while read -r object; do
    source=${object#"$objects"/lk_*.dir/}
    [ -e "${source%.o}" ] || continue # of a file that has gone
    nm -P "$object" | sed -nE "s|^([A-Za-z_][A-Za-z0-9_]*) ([UTDRBC]) ?.*|${source%.o} \2 \1|p"
done |
awk '{ if ($2 == "U") { from[++n] = $1; name[n] = $3 } else home[$3] = $1 }
     END { for (i = 1; i <= n; i++) if (name[i] in home && home[name[i]] != from[i]) print from[i], home[name[i]] }' | sort -u

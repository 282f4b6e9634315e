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

# Of every object the symbols that it defines, and of those that it wants the homes, an object being named by its source's
# path.  One nm for all of them: a process or two an object took twenty seconds.
find "$objects" -path "$objects/lk_*.dir/*" -name '*.c.o' ! -path '*/generated/*' | sort | xargs nm -A -P |
awk '{ sub(/:$/, "", $1); sub(/.*\/lk_[^\/]*\.dir\//, "", $1); sub(/\.o$/, "", $1) }
     !($1 in there) { there[$1] = (getline line <$1) >= 0; close($1) } # not those of a file that has gone
     !there[$1] { next }
     $3 == "U" { from[++n] = $1; name[n] = $2 }
     $3 ~ /^[TDRBC]$/ { home[$2] = $1 }
     END { for (i = 1; i <= n; i++) if (name[i] in home && home[name[i]] != from[i]) print from[i], home[name[i]] }' | sort -u

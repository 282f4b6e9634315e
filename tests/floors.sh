#!/bin/sh
# The floors inside the rooms, and no circles: which folder may know which, and that no files include or call one another
# in a ring, so that each can be understood after those below it.  By includes and, in a build folder's objects, calls.
#
#   tests/floors.sh BUILD
set -u
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sh tests/arrows.sh "${1:?name a build folder}" >"$work/arrows" || exit 1

# Folders of a room, the lowest first: a folder knows itself and what stands before it.  Folders in braces are one floor,
# of parts that know one another by tables or by what they are for; their files still make no circle.
floors='
engine: base schedule model {graph ops nn} optim {cpu cuda}
dist: world nccl reduce
io: file {checkpoint weights log text} recipe data
launch: decode job plot lr train run verify bench commands
'

# room folder number: the number of its floor.
echo "$floors" | awk -F': ' 'NF == 2 {
    n = split($2, word, " "); floor = 0; open = 0
    for (i = 1; i <= n; i++) {
        w = word[i]
        if (!open) floor++
        if (w ~ /^\{/) open = 1
        if (w ~ /\}$/) open = 0
        gsub(/[{}]/, "", w)
        print $1 "/" w, floor
    }
}' >"$work/floors"

# check ARROWS: what runs up, and rings.  A room's own files (engine/engine.h, launch/launch.h) stand beside the floors.
check() {
    awk 'function folder(path) { match(path, /^[^\/]*\/[^\/]*\//); return substr(path, 1, RLENGTH - 1) }
         NR == FNR { floor[$1] = $2; next }
         { a = folder($1); b = folder($2) }
         a != b && (a in floor) && (b in floor) && substr(a, 1, index(a, "/")) == substr(b, 1, index(b, "/")) &&
             floor[a] < floor[b] { print "runs up: " $1 " -> " $2 }
         a != "" && !(a in floor) { print "no floor is given for " a }' "$work/floors" "$1" | sort -u
    tsort "$1" 2>&1 >/dev/null | sed 's/^tsort: //; s/^.*input contains a loop:$/a ring:/'
}

check "$work/arrows" >"$work/found"
if [ -s "$work/found" ]; then
    echo "FAILED:"
    cat "$work/found"
    exit 1
fi

# The test itself must notice: an arrow upwards, and a ring of three.
notices() { # what, pattern, arrows
    { cat "$work/arrows"; echo "$3"; } >"$work/more"
    check "$work/more" | grep -q "$2" && return
    echo "FAILED: $1 was not noticed"
    exit 1
}
notices "an arrow upwards" 'runs up: dist/world/wait.c -> dist/reduce/tree.h' 'dist/world/wait.c dist/reduce/tree.h'
notices "a ring" 'a ring:' 'io/x.c io/y.c
io/y.c io/z.c
io/z.c io/x.c'
n=$(wc -l <"$work/arrows")
[ "$n" -gt 500 ] || { echo "FAILED: $n arrows only: is $1 built?"; exit 1; }
echo "ok: $n arrows, none runs up, no ring"

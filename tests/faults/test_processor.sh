#!/bin/sh
# A program compiled for another processor says so, whatever it is asked, and what to build; it does not die of SIGILL.
set -u
. "$(dirname "$0")/../support/lib.sh"

newer=$(dirname "$lockstep")/tests/lockstep_newer
[ -x "$newer" ] || newer=$(dirname "$lockstep")/lockstep_newer
[ -x "$newer" ] || { echo "skipped: no $newer"; exit 77; }
for command in --version doctor "train $recipes/ema-regression.yaml" ''; do
    # shellcheck disable=SC2086
    status 1 "$newer" $command
    says '^lockstep: this program is compiled for another processor \(LK_MARCH=.*\): this one has no .*fma4.*; build it here, or with cmake -DLK_MARCH=x86-64'
    same "lines" "$(wc -l <out.txt)" 1
done
status 0 alone --version
says '^lockstep [0-9.]+$'
says '^built from +commit [0-9a-f]{12}(-changed)?|^built from +commit unknown'
says '^cpu engine +oneDNN'
finish

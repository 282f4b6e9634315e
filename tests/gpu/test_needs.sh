#!/bin/sh
# What the CUDA module takes of the program is what engine/module.c names, so that the linker keeps it in every program that
# holds the library as an archive.  Needs no device.
set -u
. "$(dirname "$0")/../support/lib.sh"

module=${LOCKSTEP_CUDA_MODULE:-$(dirname "$lockstep")/lockstep-cuda.so}
source=$here/../../engine/module.c
[ -e "$module" ] && [ -e "$source" ] || { echo "skipped: $module or $source is not here"; exit 77; }

in_one_line() { sort | tr '\n' ' '; }
named() { grep -oE '\(any_function \*\)lk_[a-z0-9_]+' "$1" | sed 's/.*)//' | in_one_line; }
taken=$(nm -D --undefined-only "$module" | awk '$2 ~ /^lk_/ { print $2 }' | in_one_line)
same "what the module takes" "$(named "$source")" "$taken"

# The test itself must notice.
sed 's/(any_function \*)lk_loss_get,//' "$source" >less.c
same "a list that lacks one differs" "$([ "$(named less.c)" = "$taken" ] || echo yes)" yes
finish

#!/bin/sh
# What nvcc made of the kernels: no stack, no spills, nothing in local memory, on any architecture; and the module shows
# its one symbol.  Needs cuobjdump, no device.
set -u
. "$(dirname "$0")/../support/lib.sh"

module=$(dirname "$lockstep")/lockstep-cuda.so
[ -e "$module" ] || { echo "skipped: $module is not built"; exit 77; }
same "symbols" "$(nm -D --defined-only "$module" | grep -c ' lk_')" 1

# The build itself stops at spills and local memory (engine/cuda/module.cmake); this looks at what came out.
cuobjdump=$(command -v cuobjdump || ls /usr/local/cuda/bin/cuobjdump 2>/dev/null) || { echo "no cuobjdump: kernels are not looked at"; finish; }
"$cuobjdump" --dump-resource-usage "$module" >usage.txt 2>&1
same "architectures" "$(grep -oE '^arch = sm_[0-9]+' usage.txt | sort -u | tr -d '\n ')" "arch=sm_80arch=sm_90"
n=$(grep -c 'REG:' usage.txt)
same "kernels were found" "$([ "$n" -gt 50 ] && echo yes || echo "$n")" yes
same "kernels with a stack" "$(grep 'REG:' usage.txt | grep -cvE 'STACK:0 ')" 0
same "kernels with local memory" "$(grep 'REG:' usage.txt | grep -cvE 'LOCAL:0 ')" 0
finish

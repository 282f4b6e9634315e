#!/bin/sh
# What nvcc made of the kernels, in the module as it was compiled; needs no device.  The sums of the engine have
# a fixed order, so no kernel adds by atomics.  None keeps anything in local memory.  Those that promise to move
# 16 bytes at once do so, and none has so many registers that too few threads fit on an SM.
#
# Needs cuobjdump and nvdisasm: the toolkit's, or else PyPI's (nvidia-cuda-cuobjdump, nvidia-cuda-nvdisasm),
# which pip puts into the build folder once.
set -u
. "$(dirname "$0")/../support/lib.sh"

build=$(dirname "$lockstep")
module=$build/lockstep-cuda.so
[ -e "$module" ] || { echo "skipped: $module is not built"; exit 77; }
same "symbols" "$(nm -D --defined-only "$module" | grep -c ' lk_')" 1

# -------------------------------------------------------------------- tools

cat >registers.txt <<'EOT'
# kernel (a pattern), registers at most, why.  The first that matches counts; an SM has 65536.
^pool_grad<true>    72  three blocks of 256 threads: a window's indices are divided, which no load waits for
^adaptive_pool<true> 84 three blocks of 256 threads: each term divides by its window's sides
^grad_x             72  three blocks of 256 threads: for convolutions that the library has nothing for
^(attend|show)<1>   64  four blocks of 256 threads, as everywhere
^(attend|show|find_dq|find_dk_dv)< 128 two blocks of 256 threads: tiles are summed up in registers, 16 to 32 sums a thread
^add_f32            32  every thread an SM can hold, with 32 bytes each on their way: 64 KB, where memory wants 40
^run_neighbours     48  five blocks of 256 threads, 32 bytes each on their way: 40 KB
^update_arena       64  four blocks of 256 threads, at least 48 bytes each on their way: 48 KB
.                   64  four blocks of 256 threads: half of what an SM can hold
EOT
cat >wide.txt <<'EOT'
# kernel (a pattern), instruction, how often at least: what the sources move four or eight elements at once
^update_arena    LDG.E.128  3
^update_arena    STG.E.128  2
^add_f32         LDG.E.128  2
^add_f32         STG.E.128  1
^run_neighbours  LDG.E.128  1
^run_neighbours  STG.E.128  1
^widen           LDG.E.128  1
^widen           STG.E.128  2
EOT

# A folder with both tools; without one, the reason on standard error.
find_tools() {
    on_path=$(command -v cuobjdump || echo none)
    for folder in "$(dirname "$on_path")" /usr/local/cuda/bin "$build"/cuobjdump/nvidia/*/bin; do
        [ -x "$folder/cuobjdump" ] && [ -x "$folder/nvdisasm" ] && echo "$folder" && return
    done
    python3 -m pip install -q --target "$build/cuobjdump" --retries 0 --timeout 20 \
        nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm >pip.txt 2>&1 || { tail -n 1 pip.txt >&2; return 1; }
    dirname "$build"/cuobjdump/nvidia/*/bin/cuobjdump
}

# usage FILE: "kernel<tab>registers<tab>stack<tab>local", a line for each kernel and architecture.
usage() {
    cuobjdump --dump-resource-usage "$1" | awk '
        $1 == "Function" { name = $2; sub(/:$/, "", name) }
        /REG:/ { split($0, field, /[: ]+/)
                 for (i in field) if (field[i] ~ /^(REG|STACK|LOCAL)$/) value[field[i]] = field[i + 1]
                 print name "\t" value["REG"] "\t" value["STACK"] "\t" value["LOCAL"] }' | demangle
}

# operations FILE: "kernel<tab>instruction<tab>how often", of those that this test looks for, for the newest
# architecture.
operations() {
    cuobjdump --dump-sass --gpu-architecture sm_90 "$1" | awk '
        $1 == "Function" { name = $3; print name "\tbegin\t1" }
        match($0, /[ \t](RED|ATOM|ATOMS|ATOMG|LDL|STL|LDG\.E\.128|STG\.E\.128)[A-Z0-9.]*/) {
            n[name "\t" substr($0, RSTART + 1, RLENGTH - 1)]++ }
        END { for (key in n) print key "\t" n[key] }' | demangle
}

demangle() { c++filt | sed -E 's/^(void )?([^(\t]*)[^\t]*/\2/'; } # and without arguments: add_f32, pool<true>

# ------------------------------------------------------------------- checks

# Each prints what it finds wrong.
atomics() { awk -F'\t' '$2 ~ /^(RED|ATOM)/ { print $1 ": " $3 " " $2 }' "$1"; }
local_memory() { # OPERATIONS USAGE
    awk -F'\t' '$2 ~ /^(LDL|STL)/ { print $1 ": " $3 " " $2 }' "$1"
    awk -F'\t' '$3 + $4 > 0 { print $1 ": stack " $3 ", local " $4 }' "$2"
}
narrow() { # OPERATIONS: kernels of wide.txt that do it too seldom, and patterns without a kernel
    grep -v '^#' wide.txt | while read -r kernel instruction least; do
        awk -F'\t' -v kernel="$kernel" -v instruction="$instruction" -v least="$least" '
            $1 ~ kernel { has[$1] += index($2, instruction) == 1 ? $3 : 0; found = 1 }
            END { if (!found) print kernel ": no such kernel"
                  for (k in has) if (has[k] < least) print k ": " has[k] + 0 " " instruction ", want " least }' "$1"
    done
}
greedy() { # USAGE
    awk 'FILENAME == ARGV[1] { if (/^#/) next; rule[++n] = $1; most[n] = $2; next }
         { split($0, field, "\t")
           for (i = 1; i <= n; i++) if (field[1] ~ rule[i]) {
               if (field[2] > most[i]) print field[1] ": " field[2] " registers, at most " most[i]
               break
           } }' registers.txt "$1"
}

if ! tools=$(find_tools); then
    [ "$n_failed" = 0 ] || finish
    echo "skipped: kernels are not looked at: no cuobjdump, nor pip's"
    exit 77
fi
PATH=$tools:$PATH
usage "$module" >usage.tsv
operations "$module" >operations.tsv
same "more than 50 kernels are looked at" "$([ "$(grep -c 'begin' operations.tsv)" -gt 50 ] && echo yes || echo no)" yes
n_built=$(cuobjdump --list-elf "$module" | grep -oE 'sm_[0-9]+' | sort -u | wc -l)
same "each for all architectures" "$(wc -l <usage.tsv)" "$((n_built * $(grep -c 'begin' operations.tsv)))"
same "atomics" "$(atomics operations.tsv)" ""
same "local memory" "$(local_memory operations.tsv usage.tsv)" ""
same "moves of less than 16 bytes" "$(narrow operations.tsv)" ""
same "registers over their bounds" "$(greedy usage.tsv)" ""

# ------------------------------------------- each check can fail: a kernel that does it all

cat >bad.cu <<'EOT'
__global__ void __launch_bounds__(256) add_f32(float *sum, const float *x, const int *at)
{
    float mine[200];

    for (int i = 0; i < 200; i++) mine[i] = x[i * 7];
    for (int i = 0; i < 100; i++) mine[at[i]] += mine[at[i + 1]];
    atomicAdd(sum, mine[at[threadIdx.x]]);
}
EOT
nvcc=$(sed -n 's/^CMAKE_CUDA_COMPILER:[^=]*=//p' "$build/CMakeCache.txt")
status 0 "$nvcc" -cubin -arch sm_90 -o bad.cubin bad.cu
usage bad.cubin >bad-usage.tsv
operations bad.cubin >bad-operations.tsv
noticed() { # WHAT FINDINGS PATTERN
    same "noticed: $1" "$(printf '%s\n' "$2" | grep -qE "$3" && echo yes || echo "$2")" yes
}
noticed "an atomic" "$(atomics bad-operations.tsv)" '^add_f32: 1 (RED|ATOM)'
noticed "local memory read" "$(local_memory bad-operations.tsv bad-usage.tsv)" '^add_f32: [1-9][0-9]* LDL'
noticed "a stack" "$(local_memory bad-operations.tsv bad-usage.tsv)" '^add_f32: stack [1-9]'
noticed "moves of 4 bytes" "$(narrow bad-operations.tsv)" '^add_f32: 0 LDG.E.128, want 2'
noticed "a kernel that is gone" "$(narrow bad-operations.tsv)" 'update_arena: no such kernel'
sed 's/\t[0-9]*\t/\t33\t/' bad-usage.tsv >worse.tsv
noticed "registers" "$(greedy worse.tsv)" '^add_f32: 33 registers, at most 32'
finish

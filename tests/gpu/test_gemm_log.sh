#!/bin/sh
# What short keeps of cuBLASLt's answers (gemm_log.c), and what the engine takes of them (engine/cuda/gemm.cu):
# the first that is supported and fits the workspace; none where the library has none.  Over answers that need no
# device.
set -u
. "$(dirname "$0")/../support/lib.sh"

tests=$(dirname "$lockstep")/tests
[ -x "$tests/gemm_choice" ] || { echo "skipped: $tests/gemm_choice is not built"; exit 77; }
export LOCKSTEP="$lockstep"
choose() { LD_PRELOAD="$tests/gemm_log.so $tests/gemm_answers.so" "$tests/gemm_choice"; }

export LOCKSTEP_GEMM_LOG=$work/answers.jsonl
status 0 choose
same "taken for 48 x 16 x 80" "$(sed -n 1p out.txt)" "product with tile 3"
same "taken for 1 x 16 x 80" "$(sed -n 2p out.txt)" "no product"

line() { sed -n "$1p" answers.jsonl; }
key() { line "$1" | grep -oE "\"$2\": (\[[^]]*\]|[^,}]*)" | tr '\n' ' '; } # LINE KEY: its values in order
same "lines" "$(wc -l <answers.jsonl)" 2
same "m" "$(key 1 m)" '"m": 48 '
same "n" "$(key 1 n)" '"n": 16 '
same "k" "$(key 1 k)" '"k": 80 '
same "transposed" "$(key 1 trans)" '"trans": [1, 0] '
same "alignment" "$(key 1 align)" '"align": [64, 32, 16] '
same "state" "$(key 1 state)" '"state": 15 "state": 0 "state": 0 '
same "tile" "$(key 1 tile)" '"tile": 1 "tile": 2 "tile": 3 '
same "split-K" "$(key 1 split_k)" '"split_k": 4 "split_k": 4 "split_k": 4 '
same "reduction scheme" "$(key 1 reduction)" '"reduction": 2 "reduction": 2 "reduction": 2 '
same "workspace of the good one" "$(key 1 workspace | grep -oE '[0-9]+ $')" "4096 "
same "without an answer: status" "$(key 2 status)" '"status": 7 '
same "without an answer: answers" "$(key 2 answers)" '"answers": [] '

# A log that cannot be written is not passed over.
export LOCKSTEP_GEMM_LOG=$work/nowhere/answers.jsonl
status 1 choose
says "LOCKSTEP_GEMM_LOG must name a file"

# Every recipe is planned in every precision; on the stand-in, whose products ask nobody, that is said.
if "$lockstep" doctor | grep -q '^cuda engine.*stand-in'; then
    status 1 sh "$here/questions.sh" "$recipes" "$tests/gemm_log.so"
    says "cuBLASLt was asked nothing"
    same "other words" "$(wc -l <out.txt)" 1
fi
finish

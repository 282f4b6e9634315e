#!/bin/sh
# Sequences against PyTorch, side by side in one run: tokens per second of whole training steps, one worker and one thread
# each, and the most memory held.
#
#   translation   the textbook's Transformer (hidden 32, 2 + 2 layers, 4 heads, ffn 64, dropout 0.1) on the first 600 pairs
#                 of fra-eng, batches of 64, 10 words, Adam, clipped; tokens are those of the target that are no padding
#   shakespeare   nanoGPT's small network by characters: 4 layers, 4 heads, width 128, 12 samples of 64 characters
#   gpt2          GPT-2 124M's shapes, 4 samples of 64 random tokens, AdamW
#
#   PYTHON=/path/to/python FRA=fra.txt.xz SHAKESPEARE=input.txt tests/bench/sequences.sh [translation|shakespeare|gpt2 ...]
#
# PYTHON needs torch and numpy.  RUNS (default 3) is how often each is run, alternating so that all see the same machine;
# STEPS how many steps are timed.  PyTorch runs in two ways (sequences.py); the better one counts.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
lockstep=${LOCKSTEP:-$root/build/lockstep}
python=${PYTHON:-python3}
. "$root/tests/bench/lib.sh"
export OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# recipe NAME STEPS: of one of the three.
recipe() {
    echo "run: {name: bench, dir: $work/run}"
    echo "engine: {kind: cpu, threads: 1}"
    echo "loss: {kind: cross_entropy}"
    echo "checkpoint: {every: 0}"
    case $1 in
    translation) cat <<RECIPE
data: {kind: pairs, train: $work/translation, steps: 10}
model: {kind: transformer, layers: 2, hidden: 32, heads: 4, ffn: 64, dropout: 0.1}
optimizer: {kind: adam, lr: 5e-3, clip_norm: 1}
train: {steps: $2, batch: 64, lanes: 1}
RECIPE
        ;;
    shakespeare) cat <<RECIPE
data: {kind: tokens, train: $work/shakespeare, tokenizer: chars, sequence: 64}
model: {kind: gpt2, layers: 4, heads: 4, width: 128, context: 64, dropout: 0}
optimizer: {kind: adamw, lr: 1e-3}
train: {steps: $2, batch: 12, lanes: 1}
RECIPE
        ;;
    gpt2) cat <<RECIPE
data: {kind: tokens, train: $work/gpt2, sequence: 64}
model: {kind: gpt2, layers: 12, heads: 12, width: 768, context: 1024, dropout: 0}
optimizer: {kind: adamw, lr: 1e-4}
train: {steps: $2, batch: 4, lanes: 1}
RECIPE
        ;;
    esac
}

# ours NAME STEPS TOKENS: a line "tokens/s MiB"; a sample has so many tokens.
ours() {
    recipe "$1" "$2" >"$work/$1.yaml"
    rm -rf "$work/run"
    mib=$(peak "$lockstep" train "$work/$1.yaml")
    echo "$(awk -v rate="$(rate "$work/run/summary.json")" -v tokens="$3" 'BEGIN { printf "%.1f", rate * tokens }') $mib"
}

# compare NAME STEPS TORCH_STEPS TOKENS
compare() {
    for run in $(seq "${RUNS:-3}"); do
        ours "$1" "$2" "$4" >>"$work/ours.$1"
        for way in plain fused; do
            "$python" "$root/tests/bench/sequences.py" torch "$1" "$work/$1" "$3" $way >>"$work/$way.$1"
        done
        echo "$1, run $run: lockstep $(tail -n 1 "$work/ours.$1"), torch plain $(tail -n 1 "$work/plain.$1")," \
            "fused $(tail -n 1 "$work/fused.$1") (tokens/s MiB)"
    done
    best=plain
    [ "$(median <"$work/fused.$1" | awk -v p="$(median <"$work/plain.$1")" '{ print ($1 > p) }')" = 1 ] && best=fused
    awk -v a="$(median <"$work/ours.$1")" -v b="$(median <"$work/$best.$1")" -v name=$best -v what="$1" \
        -v am="$(cut -d' ' -f2 "$work/ours.$1" | median)" -v bm="$(cut -d' ' -f2 "$work/$best.$1" | median)" \
        'BEGIN { printf "%s, medians: lockstep %.0f, torch (%s) %.0f tokens/s; ratio %.2f; peak %.0f and %.0f MiB\n",
                        what, a, name, b, a / b, am, bm }'
}

for each in "${@:-translation shakespeare gpt2}"; do
    for name in $each; do
        case $name in
        translation)
            tokens=$("$python" "$root/tests/bench/sequences.py" pairs "$FRA" "$work/translation")
            compare translation "${STEPS:-1500}" "${STEPS:-100}" "$tokens"
            ;;
        shakespeare)
            cp "$SHAKESPEARE" "$work/shakespeare"
            compare shakespeare "${STEPS:-60}" "${STEPS:-30}" 64
            ;;
        gpt2)
            "$python" "$root/tests/bench/sequences.py" tokens "$work/gpt2"
            compare gpt2 "${STEPS:-3}" "${STEPS:-2}" 64
            ;;
        esac
    done
done
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
for set in amx_tile avx512f avx2; do grep -qm1 " $set " /proc/cpuinfo && echo "$set" && break; done
"$python" -c 'import torch; print("torch", torch.__version__)'

#!/bin/sh
# Lockstep against PyTorch on one recipe, side by side in one run: samples per second of training, one worker and one
# thread each, alternating so that both see the same machine.
#
#   PYTHON=/path/to/python tests/bench/compare.sh [RECIPE [key=value ...]]
#
# PYTHON needs torch, numpy, pyyaml and ema-pytorch.  RUNS (default 5) is how often each is run.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
recipe=${1:-$root/launch/recipes/ema-regression.yaml}
[ $# -gt 0 ] && shift
lockstep=${LOCKSTEP:-$root/build/lockstep}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rate() { # number behind "samples_per_second" in JSON
    sed -n 's/.*"samples_per_second": *\([0-9.e+]*\).*/\1/p' "$1" | head -n 1
}

for run in $(seq "${RUNS:-5}"); do
    "$lockstep" train "$recipe" "$@" run.dir="$work/run" >/dev/null 2>&1
    rate "$work/run/summary.json" >>"$work/ours"
    rm -rf "$work/run"
    "$python" "$root/tests/bench/reference.py" "$recipe" "$@" >"$work/torch.json" 2>/dev/null
    rate "$work/torch.json" >>"$work/theirs"
    echo "run $run: lockstep $(tail -n 1 "$work/ours"), torch $(tail -n 1 "$work/theirs") samples/s"
done
median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ours=$(median "$work/ours") theirs=$(median "$work/theirs")
echo "medians: lockstep $ours, torch $theirs samples/s; ratio $(awk "BEGIN { printf \"%.2f\", $ours / $theirs }")"
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
"$python" -c 'import torch; print("torch", torch.__version__)'

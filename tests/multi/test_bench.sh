#!/bin/sh
# lockstep bench: its columns, its JSON, and that what it measures adds up.  No time is asserted: they are another's on
# each machine.
set -u
. "$(dirname "$0")/../support/lib.sh"

# value KEY FILE: the number or word behind the first key of that name.
value() { sed -nE "s/^ *\"$1\": \"?([^\",]*)\"?,?$/\1/p" "$2" | head -n 1; }
# holds WHAT EXPRESSION: of awk.
holds() { same "$1" "$(awk "BEGIN { print ($2) ? \"yes\" : \"no: $2\" }")" yes; }

small="$recipes/ema-regression.yaml"

# Layers in the network's order, and shares of a whole.
status 0 alone bench step "$small" --iterations 3 --json step.json
says '^  layer +op +forward us +backward us +update us +share +GFLOP/s +GB/s$'
same "layers" "$(sed -nE 's/^  ([a-z0-9]+) +([a-z_]+) .*%.*/\1:\2/p' out.txt | tr '\n' ' ')" \
    "0:linear 1:activation 2:dropout 3:linear 4:activation 5:dropout 6:linear loss:pointwise_loss all:layers "
same "iterations" "$(value iterations step.json)" 3
holds "shares add up to 1" "$(sed -nE 's/^ *"share": ([^,]*),$/\1/p' step.json | paste -sd+) > 0.999"
holds "weights of all layers" "$(sed -nE 's/^ *"weights": (.*)$/\1/p' step.json | paste -sd+) == 3457"
status 0 workers 2 bench step "$small" --iterations 2
says '2 of them this worker.s; 2 workers'
same "tables of 2 workers" "$(grep -c 'forward us' out.txt)" 1

status 2 alone bench
says 'bench needs a word: step'
status 2 alone bench stpe "$small"
says 'bench `stpe`: there is none; did you mean step'
status 2 alone bench step
says 'bench step needs a recipe'
status 2 alone bench step "$small" --iterations 0
says 'iterations: `0` is not a whole number of at least 1'
status 2 alone bench step "$small" --keep
says 'does not take --keep'
finish

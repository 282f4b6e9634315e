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

# nccl-tests' columns; busbw is algbw times 2 (n - 1) / n; all elements right.
status 0 workers 3 bench reduce --sizes 8,100K,1M --iterations 3 --json reduce.json
says '^# +size +count +type +redop +algorithm +time +algbw +busbw +#wrong$'
says '^# +\(B\) +\(elements\) +\(us\) +\(GB/s\) +\(GB/s\)$'
same "rows" "$(awk '!/^#/ { printf "%s:%s:%s:%s:%s ", $1, $2, $3, $5, $9 }' out.txt)" \
    "8:2:float:tree:0 8:2:float:mpi:0 102400:25600:float:tree:0 102400:25600:float:mpi:0 \
1048576:262144:float:tree:0 1048576:262144:float:mpi:0 "
holds "busbw is 4/3 of algbw" "$(sed -nE 's/^ *"(algbw|busbw)": ([^,]*),$/\2/p' reduce.json | tail -n 2 |
    awk 'NR == 1 { a = $1 } NR == 2 { print ($1 / a - 4 / 3) ^ 2 }') < 1e-12"
status 0 alone bench reduce --sizes 64 --algorithms tree --iterations 1
same "of one worker" "$(awk '!/^#/ { print $8 }' out.txt)" 0.000
status 2 workers 2 bench reduce --sizes 8,big
says 'sizes: `big` is no size'
status 2 workers 2 bench reduce --sizes 3
says 'sizes: `3` is no size: bytes, from 4 on'
status 2 alone bench reduce --algorithms tree,ring
says 'algorithms: there is no `ring`'
status 2 alone bench reduce --algorithms tree,tree
says 'tree stands there twice'
status 2 workers 2 bench reduce --algorithms nccl
status 2 alone bench reduce "$small"
says 'bench reduce takes no'
status 2 alone bench step "$small" --sizes 8
says 'bench step does not take --sizes'

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

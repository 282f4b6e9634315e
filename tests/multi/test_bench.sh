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
status 0 workers 3 bench reduce --sizes 8,1K,100K --iterations 2 --json reduce.json
says '^# +size +count +type +redop +algorithm +time +algbw +busbw +#wrong$'
says '^# +\(B\) +\(elements\) +\(us\) +\(GB/s\) +\(GB/s\)$'
same "rows" "$(awk '!/^#/ { printf "%s:%s:%s:%s:%s ", $1, $2, $3, $5, $9 }' out.txt)" \
    "8:2:float:tree:0 8:2:float:mpi:0 1024:256:float:tree:0 1024:256:float:mpi:0 \
102400:25600:float:tree:0 102400:25600:float:mpi:0 "
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

# Steps on 1, 2 and 3 workers: of one worker's speed one worker keeps all, in the measure and in the model.
picture=; command -v gnuplot >/dev/null && picture="-o scaling.png"
status 0 workers 3 bench scaling "$small" --busy 10 --iterations 2 --json scaling.json $picture
says '^ +workers +step ms +predicted +error +efficiency +predicted +sums ms +hidden +predicted$'
same "rows" "$(awk '($1 == "weak" || $1 == "strong") && $2 ~ /^[0-9]+$/ { printf "%s:%s ", $1, $2 }' out.txt)" \
    "weak:1 weak:2 weak:3 strong:1 strong:2 strong:3 "
same "efficiency on one worker" "$(awk '$2 == 1 { print $6, $7 }' out.txt | sort -u)" "100.0% 100.0%"
says '^network: .* us a message, .* GB/s; off by .* from 6 sums$'
says '^predicted efficiency weak .*% on 10, .*% on 10000; strong .*% on 10,'
says 'breaks'
same "numbers of steps and shares" "$(grep -cE '"(step_seconds|hidden)": [0-9.e-]+,$' scaling.json)" 12
holds "a step is no shorter than it is stretched to" "$(value step_seconds scaling.json) >= 0.01"
[ -z "$picture" ] || same "a picture" "$(head -c 4 scaling.png | tail -c 3)" PNG
status 0 alone bench scaling "$small" --iterations 1
says 'of one worker nothing can be predicted'
status 2 workers 3 bench scaling "$small" train.batch=2
says 'train.batch: 2 samples are none for some of 3 workers'
status 2 workers 2 bench scaling "$small" --busy soon
says 'busy: `soon` is not a number'
status 2 workers 2 bench scaling "$small" -o scaling.jpg
says 'pictures are PNG files'

# Saves of a recipe: weights, two states of Adam's and the EMA, of 3457 elements each; nothing is left behind.
status 0 workers 2 bench checkpoint "$small" run.dir=saved --iterations 2 --json saves.json
says 'checkpoints of 0.05531 MB in 2 parts; medians of 2, of the slowest worker'
same "lines" "$(sed -nE 's/^  (copied|written|published|read) +[0-9.]+ ms.*/\1/p' out.txt | tr '\n' ' ')" \
    "copied written published read "
holds "held up is copied and published" "$(value held_up_seconds saves.json) - $(value copy_seconds saves.json) - \
$(value publish_seconds saves.json) < 1e-12"
same "folders left" "$(ls -d saved* 2>/dev/null)" ""
status 0 alone plan "$small" --cluster 100 --mtbf 10000 --costs saves.json
says 'best time between checkpoints'
status 0 alone bench checkpoint --size 1M --iterations 1
says 'an array: checkpoints of 1.049 MB in 1 part;'
status 2 alone bench checkpoint "$small" --size 1M
says 'takes a recipe or --size, not both'
status 2 alone bench checkpoint --size none
says 'size: `none` is no size'
mkdir saved.bench
status 2 workers 2 bench checkpoint "$small" run.dir=saved
says 'saved.bench is there already'

# A cluster that fails: 0.5 s a save, a failure in 10 h; sqrt(2 * 0.5 * 36000) s is 3.2 min.
status 0 alone plan "$small" --cluster 1000 --mtbf 10000 --save 0.5 --downtime 60
says 'a cluster of 1000 workers, each lost once in 10000 h: a failure every 10.0 h'
says "by Young's formula +3.2 min +goodput +99.3"
says 'by simulation of 20000 failures +3.[0-9] min +goodput +99.'
says 'lost of a day: .* in restarts, .* of steps done again, .* saving'
status 2 alone plan "$small" --cluster 1000
says 'cluster 1000 needs --mtbf HOURS'
status 2 alone plan "$small" --cluster 1000 --mtbf 10000
says 'give --costs FILE, of `lockstep bench checkpoint'
status 2 alone plan "$small" --cluster 10 --mtbf 10 --costs step.json
says 'step.json has no number `held_up_seconds`'
status 2 alone plan "$small" --mtbf 10
says 'give --cluster WORKERS'

status 2 alone bench
says 'bench needs a word: step, reduce, checkpoint or scaling'
status 2 alone bench stpe "$small"
says 'bench `stpe`: there is none; did you mean step'
status 2 alone bench step
says 'bench step needs a recipe'
status 2 alone bench step "$small" --iterations 0
says 'iterations: `0` is not a whole number of at least 1'
status 2 alone bench step "$small" --keep
says 'does not take --keep'
finish

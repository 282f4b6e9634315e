#!/bin/sh
# What a power cut may take: nothing that a published checkpoint presupposes.  The names of new folders, the lines of
# metrics.csv and of the journal, and TensorBoard's events are on the disk before the checkpoint has its name.
set -u
. "$(dirname "$0")/../support/lib.sh"

can_bad_files || { echo "skipped: this program cannot be given another file system"; exit 77; }
LK_TOLD=$work/told.txt
export LK_TOLD
status 0 bad_files told train "$recipes/ema-regression.yaml" train.lanes=2 data.samples=333 train.epochs=2 checkpoint.every=1 \
    metrics.tensorboard=true run.dir=deep/run

# told PATTERN: number of its first line, or nothing.
told() { grep -nE "$1" told.txt | head -n 1 | cut -d: -f1; }
before() { [ -n "$1" ] && [ -n "$2" ] && [ "$1" -lt "$2" ] && echo yes || echo "no: line $1 of told.txt, want it before $2"; }

named=$(told '^rename .*/step-00000011$')
for file in metrics.csv journal.jsonl tensorboard/events.out; do
    same "$file is on the disk before the first checkpoint" "$(before "$(told "^fsync $work/deep/run/$file")" "$named")" yes
done
same "index.h5 is written behind them" "$(before "$(told '^fsync .*/metrics.csv$')" "$(told '^fsync .*/index.h5$')")" yes
for folder in . deep deep/run; do
    at=$work${folder#.}
    [ "$folder" = . ] || at=$work/$folder
    same "the names in $folder are on the disk before the first checkpoint" "$(before "$(told "^fsync $at\$")" "$named")" yes
done
# One of each a checkpoint, not only at the first: two checkpoints and the files' beginning.
same "metrics.csv is brought to the disk for each checkpoint" "$(grep -c "^fsync .*/metrics.csv$" told.txt)" 2
finish

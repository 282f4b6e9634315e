#!/bin/sh
# The links `latest` and `best` are a convenience: what is newest is told by the names of the steps and what is best by the
# checkpoints themselves, so a run does without links, mends lost ones, and outlives a copy that made folders of them.
set -u
. "$(dirname "$0")/../support/lib.sh"

# The loss falls, and the largest is asked for: so the first checkpoint is the best.
set -- "$recipes/ema-regression.yaml" train.lanes=2 data.samples=333 train.best_metric=validation.loss train.best_mode=max \
    checkpoint.every=1 checkpoint.keep=1
there() { (cd "$1/checkpoints" && echo $(ls -d step-*)); }
first=step-00000011 last=step-00000044

status 0 alone train "$@" train.epochs=4 run.dir=whole
same "the best and the last are kept" "$(there whole)" "$first $last"

# A crash between the new name and the links: the next start mends them.
status 0 alone train "$@" train.epochs=1 run.dir=run
rm run/checkpoints/best run/checkpoints/latest
status 0 alone train "$@" train.epochs=4 run.dir=run --resume
same "without links the best is kept all the same" "$(there run)" "$first $last"
same "and linked again" "$(readlink run/checkpoints/best) $(readlink run/checkpoints/latest)" "$first $last"

rm run/checkpoints/best && ln -sfn step-00000099 run/checkpoints/latest
status 0 alone ckpt list run
says "^$last .*  latest\$"
says "^$first .*  best\$"
status 0 alone ckpt digest run
same "a dangling latest: the run's digest" "$(cat out.txt)" "$("$lockstep" ckpt digest run/checkpoints/$last)"
status 4 alone ckpt digest run/checkpoints/latest
says 'links to a checkpoint that is gone: name the run'

# Copied with its links followed, they are folders.
cp -rL whole copied
status 0 workers 2 train "$@" train.epochs=6 run.dir=copied --resume
says 'warning: .*/checkpoints/latest is no link'
same "told once" "$(grep -c 'is no link' out.txt)" 1
same "a run that was copied goes on" "$(there copied)" "$first step-00000066"

# A lost best checkpoint: the next that is saved is the best there is.
cp -a whole lost && rm -rf lost/checkpoints/$first
status 0 alone train "$@" train.epochs=5 run.dir=lost --resume
says 'warning: the checkpoint with the best weights so far is gone'
same "the best there is" "$(readlink lost/checkpoints/best)" step-00000055

if ! can_bad_files; then
    echo "skipped: this program cannot be given another file system"
    finish
fi
status 0 bad_files no-links train "$@" train.epochs=2 run.dir=smb
says 'warning: cannot link .*latest'
status 0 bad_files no-links train "$@" train.epochs=4 run.dir=smb --resume
same "a file system without links: steps" "$(there smb)" "$first $last"
same "a file system without links: digests" "$(digests smb)" "$(digests whole)"
status 0 bad_files interrupts train "$@" train.epochs=4 run.dir=intr
same "calls that signals interrupt: digests" "$(digests intr)" "$(digests whole)"
finish

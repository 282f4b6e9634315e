#!/bin/sh
# A checkpoint with a shard missing, cut, flipped or foreign is refused by name, and --resume falls back to the
# newest good one; with none left it is status 4.
set -u
. "$(dirname "$0")/../support/lib.sh"

set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs=3 checkpoint.every=1
status 0 workers 4 train "$@" run.dir=good
status 0 workers 4 train "$@" run.dir=other run.seed=7
newest=$(readlink good/checkpoints/latest)
shard=shard-00001-of-00004.h5

fresh() { rm -rf run && cp -a good run; }
try() { # pattern of the message
    status 4 alone ckpt verify "run/checkpoints/$newest"
    says "$1"
    status 0 workers 3 train "$recipes/ema-regression.yaml" train.lanes=4 train.epochs=3 checkpoint.every=1 run.dir=run --resume
    says "warning: .*$newest"
    same "resumed past the damage: digests" "$(digests run)" "$(digests good)"
}

fresh; rm "run/checkpoints/$newest/$shard"; try "$shard"
fresh; truncate -s -100 "run/checkpoints/$newest/$shard"; try "$shard"
fresh; printf '\377' | dd of="run/checkpoints/$newest/$shard" bs=1 seek=3000 conv=notrunc status=none; try "$shard"
says 'warning: rank 1 ' # workers share the verifying
fresh; cp "other/checkpoints/$newest/$shard" "run/checkpoints/$newest/$shard"; try "$shard"
fresh; truncate -s 1000 "run/checkpoints/$newest/leader.h5"; try leader.h5
fresh; rm "run/checkpoints/$newest/index.h5"; try index.h5

# A run means its newest good checkpoint, and to verify it all it has.
fresh; rm "run/checkpoints/$newest/index.h5"
older=$(ls -d run/checkpoints/step-* | tail -n 2 | head -n 1)
status 0 alone ckpt show run
says "warning: .*$newest/index.h5 is missing"
says "$older"
status 4 alone ckpt verify run
says "warning: .*$newest/index.h5 is missing"
says "$older: every file, size and checksum is right"
says '1 of 3 checkpoints in .*run/checkpoints do not verify'
status 0 alone ckpt verify good
same "all of a run are looked at" "$(grep -c 'every file, size and checksum is right' out.txt)" 3
status 0 alone ckpt digest run
same "the run's digest is that of its newest good checkpoint" "$(tail -n 1 out.txt)" "$("$lockstep" ckpt digest "$older")"

fresh
for step in run/checkpoints/step-*; do rm "$step/leader.h5"; done
status 4 workers 2 train "$@" run.dir=run --resume
says 'leader.h5'

# A full disk: the file system holds one checkpoint and not two.
if mkdir full && mount -t tmpfs -o size=400k tmpfs full 2>/dev/null; then
    mkdir full/run
    status 1 workers 2 train "$@" train.epochs=40 checkpoint.keep=100 run.dir=full/run/x
    says 'No space left'
    status 0 alone ckpt verify full/run/x/checkpoints/latest
    umount full
else
    echo "skipped: a full disk: mounting a small tmpfs needs root"
fi
finish

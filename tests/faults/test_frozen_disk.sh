#!/bin/sh
# Features on disk (train.cache_frozen: disk): what is whole and of the same weights is found again, by any number of workers;
# what is damaged, cut, unfinished or of others is computed again; a job may be killed, or asked to stop, while it fills.
set -u
. "$(dirname "$0")/../support/lib.sh"
digests() { "$lockstep" ckpt digest "$1"; }

sh "$here/../multi/make_idx.sh" "$work" 120 40
cat >pictures.yaml <<'E3'
run: {name: pictures}
data: {kind: idx, train: train-images, train_labels: train-labels, validation: test-images, validation_labels: test-labels,
       transforms: [{kind: normalize, mean: [0.5], std: [0.25]}]}
model: {kind: cnn, channels: [4, 6], kernel: 3, hidden: [10], dropout: 0.2, norm: batch}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-3}
train: {epochs: 3, batch: 24, lanes: 3, freeze: ['features.*'], cache_frozen: memory}
E3
status 0 workers 2 train pictures.yaml train.epochs=4 run.dir=longer
rows=kept/features/stage-0-training
status 0 workers 2 train pictures.yaml train.cache_frozen=disk run.dir=kept
status 0 workers 3 train pictures.yaml train.cache_frozen=disk train.epochs=4 run.dir=kept --resume
says '^frozen layers: training: .* on disk, .* found there'
same "found on disk: digests" "$(digests kept)" "$(digests longer)"
written() { ls -i --full-time "$rows" | awk '{ print $1, $8 }' | sort; } # which files: their inodes
damaged() { # WHAT N: so many files of training features are written again, and the run ends as it should
    written >before.txt
    rm -r kept/checkpoints/step-* kept/summary.json kept/checkpoints/latest
    status 0 workers 2 train pictures.yaml train.cache_frozen=disk train.epochs=4 run.dir=kept --resume
    written >after.txt
    same "$1: files written again" "$(comm -13 before.txt after.txt | wc -l)" "$2"
    same "$1: digests" "$(digests kept)" "$(digests longer)"
}
set -- "$rows"/rows-*
same "files of training features" "$([ $# -ge 10 ] && echo many)" many
damaged "nothing" 0
printf x | dd of="$1" bs=1 seek=300 conv=notrunc 2>/dev/null
damaged "a byte of one" 1
truncate -s -1 "$2"
head -c 100 "$3" >"$3.partial"
rm "$3"
damaged "one cut, one unfinished" 2
status 0 alone train pictures.yaml run.seed=9 train.epochs=4 run.dir=other train.cache_frozen=disk
cp other/features/stage-0-training/rows-* "$rows"
damaged "all of other weights" $#

# A job that is killed, or asked to stop, while it fills: what was whole is found when it begins again.
set -- pictures.yaml 'model.channels=[256, 256]' train.epochs=1 train.cache_frozen=disk
status 0 workers 2 train "$@" run.dir=filled
for signal in KILL TERM; do
    workers 2 train "$@" run.dir=filling-$signal >filling.txt 2>&1 &
    job=$!
    wait_for filling-$signal/features/stage-0-training/rows-00000001 || continue
    for worker in $(workers_of filling-$signal); do kill -$signal "$worker"; done
    wait $job
    same "$signal while it fills: the job's status is 0" "$([ $? = 0 ] && echo yes || echo no)" no
    status 0 workers 3 train "$@" run.dir=filling-$signal --resume
    says '^frozen layers: training: .* on disk, .* found there'
    same "$signal while it fills, begun again: digests" "$(digests filling-$signal)" "$(digests filled)"
done
finish

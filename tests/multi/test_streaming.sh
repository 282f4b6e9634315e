#!/bin/sh
# Images that do not fit into data.memory are read as they are wanted: the same bits on 1 and 3 workers, and through a worker's
# kill -9 in mid-epoch and a resume on another number of workers.
set -u
. "$(dirname "$0")/../support/lib.sh"

"$MAKE_IMAGES" train.h5 6000 uint8 && "$MAKE_IMAGES" validation.h5 2000 uint8 || exit 1
cat >images.yaml <<'RECIPE'
run: {name: images}
data:
  kind: hdf5
  train: train.h5            # 4.5 MiB of bytes, of which 3.75 may be held
  validation: validation.h5  # 1.5 MiB, of 1.25
  memory: 5
  transforms: [{kind: hflip, p: 0.5}, {kind: normalize, mean: [0.25], std: [0.25]}]
model: {kind: mlp, layers: [784, 8, 10]}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-3}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
train: {epochs: 8, batch: 48, lanes: 3}
checkpoint: {every: 30, unit: step}
RECIPE
set -- images.yaml
status 0 alone train "$@" run.dir=whole
same_on 3 whole "$@"
same "the images are learnt" "$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "validation.accuracy") a = i }
    END { print ($a > 0.9) }' whole/metrics.csv)" 1

for pair in "3 1" "1 3"; do
    before=${pair% *} after=${pair#* }
    break_and_resume "$before" "$after" whole "$@"
done

# Not shuffled, the order is the file's, whether it is read at once or in pieces.
status 0 workers 2 train "$@" run.dir=pieces data.shuffle=false
status 0 workers 2 train "$@" run.dir=at-once data.shuffle=false data.memory=0
same "read at once" "$(digests at-once)" "$(digests pieces)"
[ "$(digests pieces)" != "$(digests whole)" ]
same "shuffling changes what is learnt" $? 0

# Too little for three blocks is said before training.
status 2 alone train "$@" run.dir=refused data.memory=1
says 'data.memory: .*train.h5 is read in blocks of .* MiB \([0-9]+ samples\), and 3 of them must fit into the 0.75 MiB'
finish

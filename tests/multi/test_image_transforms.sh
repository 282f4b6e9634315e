#!/bin/sh
# Transforms of images are functions of seed, epoch and sample: the same weights on any number of workers and loader threads,
# and through a stop in the middle of an epoch.
set -u
. "$(dirname "$0")/../support/lib.sh"

sh "$here/make_idx.sh" "$work" 120 40
gzip -k test-images
cat >pictures.yaml <<'RECIPE'
run: {name: pictures}
data:
  kind: idx
  train: [train-images, test-images.gz]
  train_labels: [train-labels, test-labels]
  validation: test-images
  validation_labels: test-labels
  transforms:
    - {kind: random_crop, padding: 2}
    - {kind: hflip, p: 0.5}
    - {kind: normalize, mean: [0.5], std: [0.25]}
model: {kind: cnn, channels: [4], kernel: 3}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-3}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
train: {epochs: 2, batch: 24, lanes: 3}   # 160 samples: the last batch is short
RECIPE
status 0 alone train pictures.yaml run.dir=whole
same_on 3 whole pictures.yaml
status 0 workers 2 train pictures.yaml run.dir=threads data.threads=4
same "four loader threads" "$(digests threads)" "$(digests whole)"
status 0 workers 3 train pictures.yaml run.dir=parts train.steps=3
status 0 workers 2 train pictures.yaml run.dir=parts --resume data.threads=2
same "stopped after three steps" "$(digests parts)" "$(digests whole)"
status 0 alone train pictures.yaml run.dir=plain 'data.transforms=[{kind: normalize, mean: [0.5], std: [0.25]}]'
[ "$(digests plain)" != "$(digests whole)" ]
same "transforms change what is learnt" $? 0
# Evaluation that normalizes otherwise leaves no one scale of bytes: they come as floats, and train the same bits.
status 0 workers 2 train pictures.yaml run.dir=floats 'data.validation_transforms=[{kind: normalize, mean: [0.25], std: [0.5]}]'
same "bytes as floats" "$(digests floats)" "$(digests whole)"

# Windows of any size, colours, and numbers behind the normalize.
all='data.transforms=[{kind: random_resized_crop, size: 20}, {kind: vflip}, {kind: color_jitter, brightness: 0.4, contrast: 0.4},
    {kind: trivial_augment}, {kind: normalize, mean: [0.5], std: [0.25]}, {kind: random_erasing}]'
evaluation='data.validation_transforms=[{kind: resize, size: 24}, {kind: center_crop, size: 20}, {kind: normalize, mean: [0.5], std: [0.25]}]'
status 0 alone train pictures.yaml run.dir=all "$all" "$evaluation"
status 0 workers 3 train pictures.yaml run.dir=all-3 data.threads=3 train.steps=3 "$all" "$evaluation"
status 0 workers 2 train pictures.yaml run.dir=all-3 --resume "$all" "$evaluation"
same "all transforms" "$(digests all-3)" "$(digests all)"
status 2 alone train pictures.yaml run.dir=sizes "$all" 'data.validation_transforms=[{kind: resize, size: 24}]'
says 'data.validation_transforms: pictures are 24 x 24 behind them, and 20 x 20 behind data.transforms'
# A fault of the list that evaluation's is made from is that list's, with its place.
status 2 alone train pictures.yaml run.dir=none 'data.transforms=[{kind: normalize, mean: [0.5, 0.5], std: 0.2}]'
says '^lockstep: data.transforms=.*: data.transforms: normalize has 2 means and 1 deviations, the images 1 channels'
sed 's/mean: .0.5.,/mean: [0.5, 0.5],/' pictures.yaml >wrong.yaml
status 2 alone train wrong.yaml run.dir=none
says '^lockstep: wrong.yaml:8: data.transforms: normalize has 2 means and 1 deviations, the images 1 channels'
status 0 alone train pictures.yaml run.dir=raw train.steps=1 'data.validation_transforms=[]'
says '^lockstep: pictures.yaml: warning: data.transforms has a normalize and data.validation_transforms none: evaluation sees'

# Each sample with the one in front of it, which another worker may have; labels are probabilities then.
mixed='data.transforms=[{kind: hflip}, {kind: normalize, mean: [0.5], std: [0.25]}, {kind: mixup, alpha: 0.2}, {kind: cutmix}]'
status 0 alone train pictures.yaml run.dir=mixed "$mixed"
status 0 workers 3 train pictures.yaml run.dir=mixed-3 data.threads=2 train.steps=3 "$mixed"
status 0 workers 2 train pictures.yaml run.dir=mixed-3 --resume "$mixed"
same "mixed samples" "$(digests mixed-3)" "$(digests mixed)"
status 0 workers 2 eval mixed --confusion mixed.csv
same "all samples are in the matrix" "$(awk -F, 'NR > 1 {for (i = 2; i <= NF; i++) n += $i} END {print n}' mixed.csv)" 40
status 0 alone predict mixed --data test-images --out mixed.csv
same "predictions without labels" "$(wc -l <mixed.csv)" 41
status 2 alone train pictures.yaml run.dir=wrong "$mixed" loss.probabilities=false
says 'loss.probabilities: .*mixup|cutmix in data.transforms makes probabilities of labels: leave this out'

# The checkpoint knows what its images were.
status 0 alone eval whole
same "no word about fields" "$(grep -c 'field x' out.txt)" 0
status 0 alone eval whole 'data.transforms=[{kind: normalize, mean: [0.5], std: [0.5]}]'
says 'warning: field x: the run was trained on uint8 \(28, 28, 1\), each \(v / 255 - 0.5\) / 0.25, these data give uint8 \(28, 28, 1\), each \(v / 255 - 0.5\) / 0.5'
status 0 workers 2 train pictures.yaml run.dir=parts --resume --change train.epochs=3 \
    'data.validation_transforms=[{kind: normalize, mean: [0.25], std: [0.5]}]'
says 'warning: field x: the run was trained on uint8 \(28, 28, 1\), each .* these data give fp32 \(28, 28, 1\)$'
same "one message" "$(grep -c 'field x' out.txt)" 1
same "files and all samples" "$("$lockstep" ckpt show whole | grep -c 'data/samples.*160')" 1
status 2 alone train pictures.yaml 'data.transforms=[{kind: hflop}]'
says 'data.transforms\[0\].kind: .hflop. is none of .*did you mean .hflip.'
finish

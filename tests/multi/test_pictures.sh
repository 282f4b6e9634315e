#!/bin/sh
# Folders of JPEG and PNG files, decoded when they are wanted: the same weights on any number of workers and loader threads and
# through a stop, and one message where a picture is broken, with no worker left waiting.
set -u
. "$(dirname "$0")/../support/lib.sh"

"$MAKE_PICTURES" train 40 && "$MAKE_PICTURES" validation 15 || exit 1
cat >pictures.yaml <<'RECIPE'
run: {name: pictures}
data:
  kind: images
  train: train
  validation: validation
  transforms: [{kind: random_resized_crop, size: 20}, {kind: hflip}, {kind: normalize, mean: [0.5], std: [0.25]}]
  validation_transforms:
    [{kind: resize, size: 22}, {kind: center_crop, size: 20}, {kind: normalize, mean: [0.5], std: [0.25]}]
model: {kind: cnn, channels: [4], kernel: 3}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-2}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
train: {epochs: 4, batch: 12, lanes: 3}   # 80 samples: the last batch is short
checkpoint: {every: 1, unit: step}
RECIPE
status 0 alone train pictures.yaml run.dir=whole
same_on 3 whole pictures.yaml
status 0 workers 2 train pictures.yaml run.dir=threads data.threads=2
same "two loader threads" "$(digests threads)" "$(digests whole)"
status 0 workers 3 train pictures.yaml run.dir=parts train.steps=10
status 0 workers 2 train pictures.yaml run.dir=parts --resume train.steps=0
same "stopped after ten steps" "$(digests parts)" "$(digests whole)"
same "the pictures are learnt" "$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "validation.accuracy") a = i }
    END { print ($a > 0.9) }' whole/metrics.csv)" 1

# The checkpoint knows the classes by name.
status 0 alone predict whole --out p.csv
same "header" "$(head -n 1 p.csv)" file,label,bright,dark
same "files of the wrong class" "$(awk -F, 'NR > 1 && index($1, "validation/" $2 "/") == 0' p.csv | wc -l)" 0
same "lines" "$(wc -l <p.csv)" 31
mkdir new && cp validation/dark/*.jpg new
status 0 alone predict whole --data new --out new.csv
same "files of a folder without classes" "$(sed 1d new.csv | cut -d, -f1 | tr '\n' ' ')" "$(ls new/* | tr '\n' ' ')"
same "all of them are dark" "$(cut -d, -f2 new.csv | sort -u | tr '\n' ' ')" "dark label "
mkdir -p other/dim && cp validation/dark/*.jpg other/dim
status 3 alone eval whole --data other
says 'other: label: .dim. does not occur in the training part, which has 2 values: bright, dark'

# One broken picture, met by whichever worker's thread: one message, and all stop.
head -c 300 train/dark/0030.jpg >broken && mv broken train/dark/0030.jpg
for n in 1 3; do
    status 3 workers $n train pictures.yaml run.dir=broken-$n data.threads=2 checkpoint.every=100
    says 'train/dark/0030.jpg: this JPEG is cut short or damaged \(Premature end of JPEG file\); mend it'
    same "one message" "$(grep -c '^lockstep: ' out.txt)" 1
done
status 3 alone train pictures.yaml run.dir=whole --resume train.epochs=5
says 'warning: the training data changed since the checkpoint was saved'
says 'train/dark/0030.jpg: this JPEG is cut short'
rm -r train/dark/* && status 3 workers 3 train pictures.yaml run.dir=empty
says 'train/dark: a class.s folder without a picture'
status 2 alone train pictures.yaml data.train=validation data.transforms=null data.validation_transforms=null
says 'resize'
finish

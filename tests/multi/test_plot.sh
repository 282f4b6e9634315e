#!/bin/sh
# lockstep plot: the picture of one run and of several, and what is said when there is none to draw.
set -u
. "$(dirname "$0")/../support/lib.sh"

command -v gnuplot >/dev/null || { echo "skipped: no gnuplot: apt-get install gnuplot-nox"; exit 77; }

# png_size FILE: "width height" from the header of a PNG; anything else: "no PNG".
png_size() {
    [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a ] || { echo "no PNG"; return; }
    head -c 24 "$1" | tail -c 8 | od -An -tu1 | awk '{print $3 * 256 + $4, $7 * 256 + $8}'
}

# drawn FILE: yes when it is larger than a blank page of its size, which compresses to some thousand bytes.
drawn() { [ "$(wc -c <"$1")" -gt 20000 ] && echo yes || echo "no: $(wc -c <"$1") bytes"; }

# The first batch as the network gets it: 4 x 4 pictures of 28 x 28, 96 points wide, and 14 for a label; labels mixed.
sh "$here/make_idx.sh" "$work" 120 40
cat >pictures.yaml <<'RECIPE'
run: {name: pictures}
data:
  kind: idx
  train: train-images
  train_labels: train-labels
  transforms: [{kind: hflip}, {kind: normalize, mean: [0.5], std: [0.25]}, {kind: mixup}]
model: {kind: cnn, channels: [4], kernel: 3}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-3}
train: {epochs: 1, batch: 16}
RECIPE
status 0 alone plot pictures.yaml --batch
says '^batch.png$'
same "size of a picture of a batch" "$(png_size batch.png)" "828 940"
same "the batch is drawn" "$(drawn batch.png)" yes
status 0 alone plot pictures.yaml --batch -o again.png train.lanes=4
same "the same on any number of lanes" "$(cmp batch.png again.png && echo yes)" yes
same "no pixels are left" "$(ls ./*.pixels 2>/dev/null | wc -l)" 0
status 2 alone plot "$recipes/ema-regression.yaml" --batch
says 'draws images, and the samples of .* are none'
status 2 alone plot pictures.yaml pictures.yaml --batch
says 'needs one recipe'

set -- train.epochs=8 train.early_stop=null
alone train "$recipes/ema-regression.yaml" "$@" run.dir=a >/dev/null 2>&1
alone train "$recipes/ema-regression.yaml" "$@" run.dir=b_2 optimizer.lr=0.01 >/dev/null 2>&1
alone train "$recipes/lambda-polynomial.yaml" run.dir="it's a run" train.steps=30 >/dev/null 2>&1

# Loss, mean absolute error, r2 and learning rate: two panels of 380 x 260 points in each of two rows, at two dots a
# point, below a legend of one line, or of two when runs are named.
status 0 alone plot a -o one.png
same "size of a picture of one run" "$(png_size one.png)" "1520 1104"
same "something is drawn" "$(drawn one.png)" yes
status 0 alone plot a/ b_2 "it's a run" --out=three.png
same "size of a picture of three runs" "$(png_size three.png)" "1520 1148"
same "something is drawn" "$(drawn three.png)" yes
same "no run repeats another's picture" "$(cmp -s one.png three.png && echo same || echo other)" other
status 0 workers 2 plot b_2 -o two.png
same "the leader alone draws" "$(png_size two.png)" "1520 1104"

# Evaluations that all lie in the first epoch, and one before anything was trained, need steps on the axis.
alone train "$recipes/lambda-polynomial.yaml" run.dir=short train.steps=3 >/dev/null 2>&1
same "epochs of a short run" "$(cut -d, -f2 short/metrics.csv | tail -n +2 | tr '\n' ' ')" "0 "
status 0 alone plot short -o short.png
same "a short run is drawn" "$(drawn short.png)" yes
alone train "$recipes/lambda-polynomial.yaml" run.dir=untrained train.epochs=0 >/dev/null 2>&1
status 0 alone plot untrained -o untrained.png

status 2 alone plot nowhere -o no.png
says 'cannot find the run nowhere: No such file'
status 2 alone plot "$recipes" -o no.png
says 'is no run: there is no .*/metrics.csv'
status 2 alone plot a
says 'lockstep plot RUN \[RUN ...\] -o FILE.png'
status 2 alone plot a -o
says '--out needs a value: FILE'
status 2 alone plot a -o picture.svg
says 'picture.svg: pictures are PNG files'
status 2 alone plot a -o nowhere/no.png
says 'cannot write the picture nowhere/no.png: No such file'
mkdir fresh
head -n 1 a/metrics.csv >fresh/metrics.csv
status 3 alone plot a fresh -o no.png
says 'fresh/metrics.csv has no evaluation yet'
echo 1,2,3 >>fresh/metrics.csv
status 3 alone plot fresh -o no.png
says 'fresh/metrics.csv:2: 3 cells'
same "no picture after a failure" "$(ls no.png* nowhere 2>/dev/null)" ""

# Without gnuplot: an older picture stays.
mkdir empty
status 1 env PATH="$work/empty" "$lockstep" plot a -o one.png
says 'gnuplot, which is not installed: apt-get install gnuplot-nox'
same "the older picture is there" "$(png_size one.png)" "1520 1104"
same "nothing else is left" "$(ls one.png*)" one.png
finish

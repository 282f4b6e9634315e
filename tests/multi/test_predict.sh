#!/bin/sh
# lockstep predict: one line a sample; classes with probabilities that agree with eval's accuracy, regression outputs in the
# units of the data, the same on any number of workers, of the run's validation part or of another file.
set -u
. "$(dirname "$0")/../support/lib.sh"

points() { # seed, count
    awk -v seed="$1" -v n="$2" 'BEGIN {
        srand(seed); print "a,b,kind"
        for (i = 0; i < n; i++) { a = rand() * 2 - 1; b = rand() * 2 - 1; print a "," b "," (a > 0) + (b > 0) }
    }'
}
points 1 400 >train.csv
points 2 100 >test.csv
cat >kinds.yaml <<'RECIPE'
run: {name: kinds}
data: {kind: csv, train: train.csv, validation: test.csv, target: kind}
model: {kind: mlp, layers: [2, 16, 3]}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-2}
train: {epochs: 20, batch: 32, lanes: 2}
RECIPE
status 0 workers 2 train kinds.yaml run.dir=kinds
status 0 alone predict kinds --out p.csv
same "header" "$(head -n 1 p.csv)" kind,p0,p1,p2
same "lines" "$(wc -l <p.csv)" 101
status 0 workers 2 predict kinds --data test.csv --out p2.csv
same "another file, two workers" "$(cksum <p2.csv)" "$(cksum <p.csv)"
hits=$(paste -d, p.csv test.csv | awk -F, 'NR > 1 { n += $1 == $7 } END { printf "%.9g", n / (NR - 1) }')
status 0 alone eval kinds
same "share of the likeliest class that is right" "$hits" "$(awk '/validation.accuracy/ { print $2 }' out.txt)"
same "probabilities that do not add up to 1" \
    "$(awk -F, 'NR > 1 && ($2 + $3 + $4 < 0.9999 || $2 + $3 + $4 > 1.0001)' p.csv | wc -l)" 0
cut -d, -f1,2 test.csv >unlabelled.csv
status 0 alone predict kinds --data unlabelled.csv --out p3.csv
same "without labels" "$(cksum <p3.csv)" "$(cksum <p.csv)"

# Classes that are named by words are predicted by them.
awk -F, 'BEGIN { split("low middle high", word, " ") } { print $1 "," $2 "," (NR > 1 ? word[$3 + 1] : $3) }' train.csv >words.csv
sed 's/train: train.csv, validation: test.csv/train: words.csv, categorical: [kind]/' kinds.yaml >words.yaml
status 0 alone train words.yaml run.dir=words
status 0 alone predict words --data unlabelled.csv --out w.csv
same "header" "$(head -n 1 w.csv)" kind,high,low,middle
same "words of the likeliest class" "$(cut -d, -f1 w.csv | sort -u | tr '\n' ' ')" "high kind low middle "

# y = 1000 + 50 a: outputs are in these units though the network sees standardised ones.
awk -F, 'BEGIN { print "a,y" } NR > 1 { print $1 "," 1000 + 50 * $1 }' train.csv >line.csv
sed 's/kind: csv.*/kind: csv, train: line.csv, target: y, validation_fraction: 0.2, standardize: true}/
     s/\[2, 16, 3\]/[1, 16, 1]/; s/cross_entropy/mse/; s/epochs: 20/epochs: 100/' kinds.yaml >line.yaml
status 0 alone train line.yaml run.dir=line
status 0 alone predict line --data line.csv --out y.csv
same "header" "$(head -n 1 y.csv)" y
same "predictions more than 5 off, of a range of 100" \
    "$(paste -d, y.csv line.csv | awk -F, 'NR > 1 && ($1 - $3 > 5 || $3 - $1 > 5)' | wc -l)" 0
status 2 alone predict line --ema
says 'keeps no EMA'
status 2 alone predict line --out nowhere/y.csv
says 'cannot write nowhere/y.csv'

# Images in HDF5, as bytes and as floats of the same numbers: the same network, the same predictions.
"$MAKE_IMAGES" bytes.h5 160 uint8 && "$MAKE_IMAGES" floats.h5 160 float || exit 1
cat >images.yaml <<'RECIPE'
run: {name: images}
data: {kind: hdf5, train: bytes.h5, transforms: [{kind: normalize, mean: [0], std: [1]}]}   # bytes / 255
model: {kind: cnn, channels: [4], kernel: 3}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-2}
train: {epochs: 2, batch: 32, lanes: 2}
RECIPE
status 0 workers 2 train images.yaml run.dir=bytes
status 0 workers 2 train images.yaml run.dir=floats data.train=floats.h5 \
    'data.transforms=[{kind: normalize, mean: [0], std: [255]}]'
same "weights" "$("$lockstep" ckpt digest floats)" "$("$lockstep" ckpt digest bytes)"
status 0 alone predict bytes --data bytes.h5 --out bytes.csv
status 0 alone predict floats --data floats.h5 --out floats.csv
same "lines" "$(wc -l <bytes.csv)" 161
same "predictions" "$(cksum <floats.csv)" "$(cksum <bytes.csv)"

# An mlp reads coloured images in PyTorch's order, which is that of CIFAR's files: picture r has one bright byte, the r-th of
# the 2 x 4 pixels in its middle (rows 15 and 16, columns 14 to 17), and the network gives back what it reads.
perl -e '
    open(my $pictures, ">:raw", "bright.bin") or die;
    for my $r (0 .. 23) {
        my $bytes = "\0" x 3072;
        substr($bytes, int($r / 8) * 1024 + (15 + int($r % 8 / 4)) * 32 + 14 + $r % 4, 1) = "\xff";
        print $pictures pack("C", $r % 10), $bytes;
    }'
cat >bright.yaml <<'RECIPE'
run: {name: bright}
data: {kind: cifar10, train: bright.bin, transforms: [{kind: center_crop, size: [2, 4]}, {kind: normalize, mean: 0, std: 1}]}
model: {kind: mlp, layers: [24, 24], init: eye, init_bias: zeros}
loss: {kind: cross_entropy}
optimizer: {kind: sgd, lr: 1e-30}
train: {epochs: 1, batch: 8, lanes: 2}
RECIPE
status 0 workers 2 train bright.yaml run.dir=bright
status 0 workers 2 predict bright --data bright.bin --out bright.csv
same "the bright byte's place in the file" "$(awk -F, 'NR > 1 { print $1 }' bright.csv | tr '\n' ' ')" "$(seq 0 23 | tr '\n' ' ')"
finish

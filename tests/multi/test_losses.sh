#!/bin/sh
# Losses whose mean does not divide by the number of samples: weights of classes, labels that are ignored and fall unevenly
# on the lanes; and the losses over values and events.  The same bits on 1 to 4 workers.
set -u
. "$(dirname "$0")/../support/lib.sh"

# Three classes by the larger of two features; every label in the first third of the file is ignored but two, and later one
# in seven.
awk 'BEGIN { print "a,b,y,e"; for (i = 0; i < 210; i++) { a = sin(i * 1.7); b = cos(i * 0.9)
    y = a > b + 0.5 ? 0 : b > a + 0.5 ? 1 : 2
    if ((i < 70 && i % 35 != 3) || i % 7 == 5) y = 255
    printf "%.6f,%.6f,%d,%d\n", a, b, y, (a + b > 0.3) } }' >points.csv
cat >points.yaml <<'END'
run: {name: points, seed: 3}
data: {kind: csv, train: points.csv, target: y, ignore: [e], validation_fraction: 0.2, shuffle: false}
model: {kind: mlp, layers: [2, 16, 3], activation: tanh}
loss: {kind: cross_entropy, weight: [0.5, 1.0, 3.0], label_smoothing: 0.1, ignore_index: 255}
optimizer: {kind: adam, lr: 0.02}
ema: {update_after_step: 5}
metrics: {measure: [accuracy_top5, perplexity], train: true}
train: {epochs: 6, batch: 24, lanes: 4}
END

# check NAME OVERRIDES...
check() {
    name=$1
    shift
    status 0 alone train points.yaml "$@" run.dir="$name"
    for n in 2 3 4; do same_on $n "$name" points.yaml "$@"; done
}

check weights
check unweighted 'loss={kind: cross_entropy, ignore_index: 255}'
same "weights change the bits" "$([ "$(digests weights)" = "$(digests unweighted)" ] && echo no || echo yes)" yes
status 0 alone eval weights
says 'validation.accuracy +[01]'
says 'validation.perplexity +[0-9]'

# 42 samples validate; the matrix counts those whose label is not ignored, and its diagonal is the accuracy.
for n in 1 3; do
    status 0 workers $n eval weights --confusion "matrix-$n.csv"
    accuracy=$(awk '$1 == "validation.accuracy" { print $2 }' out.txt)
    same "accuracy by the matrix, $n workers" "$(awk -F, 'NR > 1 { for (i = 2; i <= NF; i++) all += $i; hit += $NR }
        END { printf "%.6f", hit / all }' "matrix-$n.csv")" "$(printf %.6f "$accuracy")"
done
same "the matrix on 3 workers" "$(cat matrix-3.csv)" "$(cat matrix-1.csv)"
same "its header" "$(head -n 1 matrix-1.csv)" "label,0,1,2"
status 2 alone eval weights --ema
says 'it says whose --confusion is'

events='data={kind: csv, train: points.csv, target: e, ignore: [y], validation_fraction: 0.2}'
check events "$events" 'loss={kind: bce, pos_weight: [2]}' 'model.layers=[2, 16, 1]' 'metrics={}'
status 0 alone predict events
says '^0\.[0-9]+$'
status 2 alone eval events --confusion matrix.csv
says 'loss bce knows no classes'
# Labels of classes are no events: the loss would fall without end.
many="data={kind: csv, train: points.csv, target: y, ignore: [e], validation_fraction: 0.2}"
status 3 workers 2 train points.yaml "$many" 'loss={kind: bce}' 'model.layers=[2, 16, 1]' 'metrics={}' run.dir=refused
says 'points.csv: line 2: the target is 255; loss.kind bce needs targets from 0 to 1'
status 3 alone eval events data.target=y data.ignore=[e] --data points.csv
says 'points.csv: line 2: the target is 255'
check huber "$events" 'loss={kind: huber, delta: 0.5}' 'model.layers=[2, 16, 1]' 'metrics={measure: [rmse]}'

# What a recipe may not ask.
status 2 alone train points.yaml 'loss.weight=[1, 2]' run.dir=refused
says 'loss.weight: it has 2 numbers, but there are 3 classes'
status 2 alone train points.yaml metrics.measure=[rmse] run.dir=refused
says 'metrics.measure.*`rmse` is no metric of loss cross_entropy, which has loss, accuracy, accuracy_top5, perplexity'
status 2 alone train points.yaml metrics.train=false train.best_metric=train_eval.accuracy run.dir=refused
says '`train_eval.accuracy` needs metrics.train: true'
status 2 alone train points.yaml "$events" 'loss={kind: bce}' 'model.layers=[2, 16, 1]' 'metrics={}' data.standardize=true \
    run.dir=refused
says 'data.standardize.*loss bce needs targets from 0 to 1'
finish

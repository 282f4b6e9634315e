#!/bin/sh
# A Transformer on pairs of sentences of one to nine words, so that lanes are filled up unevenly: the same weights, EMA and
# metrics on 1, 2, 3 and 4 workers, and through a worker's death and a resume on another number of them, in fp32 and in bf16.
set -u
. "$(dirname "$0")/../support/lib.sh"

# Digits in words, and the same backwards: 150 lines of other lengths.
awk 'BEGIN {
    split("zero one two three four five six seven eight nine", word, " ")
    for (line = 1; line <= 150; line++) {
        source = target = ""
        for (i = 0; i <= (line * 7) % 9; i++) {
            w = word[1 + (line * 3 + i * i + int(line / 9)) % 10]
            source = source (i ? " " : "") w
            target = w (i ? " " : "") target
        }
        print source "\t" target
    }
}' >pairs.txt
cat >pairs.yaml <<'RECIPE'
run: {name: pairs}
data: {kind: pairs, train: pairs.txt, validation_fraction: 0.2}
model: {kind: transformer, layers: [1, 2], hidden: 16, heads: 2, ffn: 32, dropout: 0.1, tie: target}
loss: {kind: cross_entropy, label_smoothing: 0.1}
optimizer: {kind: adam, lr: 5e-3, clip_norm: 1}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
checkpoint: {every: 2, unit: step}
train: {epochs: 2, batch: 32, lanes: 4}   # the last batch is short
RECIPE

# check NAME OVERRIDES...
check() {
    name=$1
    shift
    status 0 workers 1 train pairs.yaml "$@" run.dir="$name"
    for n in 2 3 4; do same_on $n "$name" pairs.yaml "$@"; done
    status 0 workers 2 train pairs.yaml "$@" train.epochs=40 run.dir="$name-long"
    break_and_resume 3 2 "$name-long" pairs.yaml "$@" train.epochs=40
    rm -rf broken-3-2
}

check fp32
check buckets data.buckets=3 loss.reduction=sequence
[ "$(digests buckets)" != "$(digests fp32)" ]
same "batches by length change what is learnt" $? 0
status 0 alone train pairs.yaml model.norm=pre run.dir=norm-first
[ "$(digests norm-first)" != "$(digests fp32)" ]
same "norms before branches change what is learnt" $? 0
if alone plan pairs.yaml engine.precision=bf16 2>&1 | grep -q 'cannot compute in bf16'; then
    echo "skipped: bf16: this processor cannot compute in it"
else
    check bf16 engine.precision=bf16
fi

status 2 alone train pairs.yaml data.buckets=3 data.steps=5
says 'data.buckets=3: data.steps fills every sentence up to 5'
status 2 alone train pairs.yaml model.heads=3
says 'model.hidden: 16 does not divide into 3 heads'
status 2 alone train pairs.yaml model.target_vocabulary=5
says 'model.target_vocabulary is 5, but the data has 1[0-9] tokens'
finish

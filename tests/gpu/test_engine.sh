#!/bin/sh
# The CUDA engine as a user meets it, on a device or on the stand-in that LOCKSTEP_CUDA_MODULE names: the same bits for 1,
# 2 and 4 workers that share a device and through a resume, of a Transformer too; checkpoints that go from one engine to
# the other and back.
set -u
. "$(dirname "$0")/../support/lib.sh"
. "$here/device.sh"

set -- "$recipes/ema-regression.yaml" --engine cuda train.lanes=4 train.epochs=4 data.samples=333 \
    data.validation_samples=101 ema.update_after_step=10 checkpoint.every=7 checkpoint.unit=step

status 0 workers 1 train "$@" run.dir=one optimizer.clip_norm=0.5 model.norm=batch
for n in 2 4; do same_on $n one "$@" optimizer.clip_norm=0.5 model.norm=batch; done
says "share [0-9]+ device"

# bf16, where weights have copies in bf16; and no dropout, so nothing hides a product that is wrong.
status 0 workers 1 train "$@" run.dir=half engine.precision=bf16 model.dropout=0
same_on 2 half "$@" engine.precision=bf16 model.dropout=0

# Sentences: attention, tables of tokens, lanes that are filled up unevenly; gone on with other workers in mid-epoch.
awk 'BEGIN { for (i = 0; i < 60; i++) { s = "say"; t = "dis"
    for (k = 0; k <= i % 7; k++) { s = s " w" (i * 5 + k) % 11; t = t " m" (i * 3 + k) % 9 }
    print s "\t" t } }' >pairs.txt
cat >pairs.yaml <<'RECIPE'
run: {name: pairs}
data: {kind: pairs, train: pairs.txt, validation_fraction: 0.2}
model: {kind: transformer, layers: 1, heads: 2, hidden: 16, ffn: 32, dropout: 0.1}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 5e-3}
ema: {beta: 0.9}
engine: {kind: cuda}
train: {epochs: 2, batch: 24, lanes: 3}
RECIPE
status 0 workers 1 train pairs.yaml run.dir=pairs
same_on 3 pairs pairs.yaml
status 0 workers 3 train pairs.yaml run.dir=sentences train.steps=3
status 0 workers 2 train pairs.yaml run.dir=sentences --resume
same "sentences, resumed on 2 workers: digests" "$(digests sentences)" "$(digests pairs)"

# Stopped in mid-epoch by the recipe, gone on with other workers.
status 0 workers 2 train "$@" run.dir=parts train.steps=17 optimizer.clip_norm=0.5 model.norm=batch
status 0 workers 4 train "$@" run.dir=parts optimizer.clip_norm=0.5 model.norm=batch --resume
same "resumed on 4 workers: digests" "$(digests parts)" "$(digests one)"

# One engine's checkpoint continued by the other: not the same bits, but the same run to five digits.
loss() { tail -n 1 "$1/metrics.csv" | cut -d, -f5 | cut -c1-6; }
cpu() { "$@" --engine cpu; }
status 0 alone train "$@" run.dir=there train.steps=21
status 0 cpu alone train "$@" run.dir=there --resume
status 0 cpu alone train "$@" run.dir=back train.steps=21
status 0 alone train "$@" run.dir=back --resume
status 0 cpu alone train "$@" run.dir=host
same "begun on the device, ended on the CPU: loss" "$(loss there)" "$(loss host)"
same "begun on the CPU, ended on the device: loss" "$(loss back)" "$(loss host)"
status 0 alone eval one --engine cuda
status 0 cpu alone eval one

status 2 alone train "$@" run.dir=refused --engine cpu engine.precision=tf32
says "tf32 is the cuda engine's"
status 2 workers 2 train "$@" run.dir=refused dist.reduction=nccl
says "more workers than devices|mpirun"
finish

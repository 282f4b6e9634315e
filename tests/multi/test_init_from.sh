#!/bin/sh
# init_from: what is loaded into a new run, what is refused, the same bits on any number of workers and when resumed.
set -u
. "$(dirname "$0")/../support/lib.sh"

cat >pre.yaml <<'E2'
run: {name: pre, seed: 3}
data: {kind: regression, samples: 500, validation_samples: 101, n_features: 20, noise: 0.1, standardize: true}
model: {kind: mlp, layers: [20, 32, 16, 1], norm: batch}
loss: {kind: mse}
optimizer: {kind: adam, lr: 1e-3}
ema: {beta: 0.9, update_after_step: 2, update_every: 1}
train: {epochs: 3, batch: 32, lanes: 3}
E2
# Three classes of what had one output, first the new output layer alone, then everything.
awk 'BEGIN {srand(5); for (c = 0; c < 20; c++) printf "x%d,", c; print "y"
            for (i = 0; i < 300; i++) {s = 0; for (c = 0; c < 20; c++) {v = rand() - 0.5; s += v; printf "%.4f,", v} print (s > 1) + (s > -1)}}' >table.csv
cat >fine.yaml <<'E2'
run: {name: fine, seed: 4}
data: {kind: csv, train: table.csv, target: y, validation_fraction: 0.2}
model: {kind: mlp, layers: [20, 32, 16, 3], norm: batch}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-3}
ema: {beta: 0.9, update_after_step: 4, update_every: 2}
train: {batch: 32, lanes: 3}
checkpoint: {every: 1, keep: 9, best: false}
init_from:
  checkpoint: pre
  strict: false
stages:
  - {name: head, epochs: 1, freeze: ['*'], unfreeze: ['8.*']}
  - {name: all, epochs: 2, unfreeze: ['*']}
E2
status 0 alone train pre.yaml run.dir=pre

# Another output layer: its two tensors have another shape, the others and the running statistics are the checkpoint's.
report='12 loaded, 0 missing, 0 unexpected, 2 of another shape \(8.weight: \(1, 16\) in the checkpoint, \(3, 16\) here; 8.bias: \(1\) in the checkpoint, \(3\) here\)'
status 0 alone ckpt show pre --against fine.yaml
says "^0.weight +0.weight +\(32, 20\) +loaded"
says "^1.running_mean +1.running_mean +\(32\) +loaded"
says "^8.weight +8.weight +\(3, 16\) +other shape +\(1, 16\) in the checkpoint, \(3, 16\) here"
says '^12 loaded, 0 missing, 0 unexpected, 2 of another shape'
status 0 alone train fine.yaml run.dir=fine
says "^init_from .*/pre/checkpoints/step-00000048: $report"
same "the report is in the journal" "$(grep '"event":"init_from"' fine/journal.jsonl | grep -cE "step-00000048: $report")" 1
want=$(digests fine)

# At rate 0 and with its norms frozen a run's weights stay the checkpoint's (or its EMA's) bit for bit; its own EMA
# starts from them.
still() { status 0 alone train pre.yaml init_from=pre train.steps=1 optimizer.lr=0 'train.freeze=["*"]' 'train.unfreeze=["8.*"]' "$@"; }
still run.dir=still
same "the weights are the checkpoint's" "$(alone ckpt digest still)" "$(alone ckpt digest pre)"
same "the EMA starts from them" "$(alone ckpt digest still --ema)" "$(alone ckpt digest pre)"
still run.dir=still-ema init_from.ema=true
says '^init_from .*step-00000048, its EMA: 14 loaded, 0 missing, 0 unexpected'
same "the weights are those of the checkpoint's EMA" "$(alone ckpt digest still-ema)" "$(alone ckpt digest pre --ema)"

# The same bits on other numbers of workers.
for n in 1 3; do
    status 0 workers $n train fine.yaml run.dir=on-$n
    same "$n workers: digests" "$(digests on-$n)" "$want"
    same "$n workers: the report is told once" "$(grep -c '^init_from' out.txt)" 1
done

# Resumed in either stage: the run's own checkpoint wins, although what it came from is gone; the journal says so.
mv pre away
for steps in '16 24' 24; do
    rm -rf again
    cp -a fine again
    rm -rf again/checkpoints/latest again/summary.json
    for step in $steps; do rm -r again/checkpoints/step-000000$step; done
    status 0 workers 2 train fine.yaml run.dir=again --resume
    same "resumed without steps $steps: digests" "$(digests again)" "$want"
    same "a resume does not speak of init_from" "$(grep -c init_from out.txt)" 0
    same "the journal says that it is ignored" "$(grep -c '"event":"init_from","reason":"ignored' again/journal.jsonl)" 1
done
mv away pre
# Before the first checkpoint there is nothing to resume, so init_from holds.
rm -rf again
status 0 alone train fine.yaml run.dir=again --resume
says "^init_from .*$report"
same "resumed from nothing: digests" "$(digests again)" "$want"

# Names that moved: dropout puts a layer between those of the checkpoint.
cat >wide.yaml <<'E2'
run: {name: wide, seed: 9}
data: {kind: regression, samples: 500, validation_samples: 101, n_features: 20, noise: 0.1, standardize: true}
model: {kind: mlp, layers: [20, 32, 16, 1], dropout: 0.1}
loss: {kind: mse}
optimizer: {kind: sgd, lr: 0}
train: {steps: 1, batch: 32, lanes: 3}
init_from:
  checkpoint: pre
  strict: false
  rename: ['4.* -> 3.*', '8.* -> 6.*', '5.* -> norm.*']
E2
status 0 alone ckpt show pre --against wide.yaml
says '^3.weight +4.weight +\(16, 32\) +loaded'
says '^- +5.running_var +\(16\) +unexpected +renamed to norm.running_var, absent here'
says '^6 loaded, 0 missing, 8 unexpected'
status 0 alone train wide.yaml run.dir=wide
says '^init_from .*: 6 loaded, 0 missing, 8 unexpected \(1.weight: absent here'

# Two layers of one shape change places, and back again.
sed "s/layers: .*/layers: [20, 20, 20, 1]}/; s/optimizer: .*/optimizer: {kind: sgd, lr: 0}/; /init_from/,\$d" wide.yaml >square.yaml
echo 'init_from: {checkpoint: square, rename: ["0.* -> 3.*", "3.* -> 0.*"]}' | cat square.yaml - >swap.yaml
status 0 alone train square.yaml run.dir=square optimizer.lr=0.1
status 0 alone train swap.yaml run.dir=swapped
says '^init_from .*: 6 loaded, 0 missing, 0 unexpected'
status 0 alone train swap.yaml run.dir=back init_from.checkpoint=swapped
same "names that change places twice are where they were" "$(alone ckpt digest back)" "$(alone ckpt digest square)"
status 1 alone ckpt diff swapped square
says '^2 tensors have the same bits'

# Strict, the default.
status 2 alone train fine.yaml run.dir=bad init_from.strict=true
says "fine.yaml:10: init_from.checkpoint: the checkpoint does not fit this model: $report; strict: false loads what fits"
status 2 workers 2 train fine.yaml run.dir=bad init_from.strict=true
says "fine.yaml:10: init_from.checkpoint: the checkpoint does not fit this model"
status 2 alone ckpt show pre --against fine.yaml init_from.strict=true
says '^12 loaded, 0 missing, 0 unexpected, 2 of another shape'
says 'the checkpoint does not fit this model'
status 2 alone train wide.yaml run.dir=bad init_from.strict=true
says "8 unexpected \(1.weight: absent here"
status 0 alone ckpt show pre --against fine.yaml init_from=null
says '^12 loaded, 0 missing, 0 unexpected, 2 of another shape'

# Rename: a pattern without a match, two names that become one, and the line of both.
status 2 alone train wide.yaml run.dir=bad 'init_from.rename=["4.wieght -> 3.weight"]'
says 'init_from.rename: `4.wieght` matches no tensor of the checkpoint; did you mean 4.weight'
sed "s/'5.. -> norm.*'/'5.* -> 3.*'/" wide.yaml >collide.yaml
status 2 alone train collide.yaml run.dir=bad
says 'collide.yaml:10: init_from.rename: 4.weight and 5.weight of the checkpoint both become 3.weight'

# Nothing that matches is an error however it is asked.
status 2 alone train wide.yaml run.dir=bad 'init_from.rename=["* -> body.*"]'
says 'wide.yaml:8: init_from.checkpoint: no tensor of the checkpoint fits this model: 0 loaded, 6 missing'
status 2 alone ckpt show pre --against wide.yaml 'init_from.rename=["* -> body.*"]'
says 'no tensor of the checkpoint fits this model'

# No EMA there, no checkpoint there.
status 2 alone train wide.yaml run.dir=bad init_from.checkpoint=wide init_from.ema=true
says 'init_from.ema: .*/wide/checkpoints/step-00000001 has no EMA'
status 4 alone train fine.yaml run.dir=bad init_from.checkpoint=nowhere
says 'init_from.checkpoint: there is no checkpoint at nowhere: No such file'
sed 's/checkpoint: pre/checkpoint: nowhere/' fine.yaml >lost.yaml
status 4 workers 2 train lost.yaml run.dir=bad
says 'lost.yaml:10: init_from.checkpoint: .*there is no checkpoint at nowhere'
sed 's/^init_from:.*/init_from: nowhere/; /^  checkpoint: pre/d; /^  strict: false/d' fine.yaml >short.yaml
status 4 alone train short.yaml run.dir=bad
says '^lockstep: short.yaml:[0-9]+: init_from.checkpoint: .*there is no checkpoint at nowhere'
mkdir -p empty/checkpoints
status 4 alone train fine.yaml run.dir=bad init_from.checkpoint=empty
says 'init_from.checkpoint: the run empty has no checkpoint'
same "a run that was refused left no folder" "$(ls -d bad 2>/dev/null)" ""

# A damaged newest checkpoint of the run is passed over.
cp -a fine hurt
printf x | dd of=hurt/checkpoints/step-00000024/leader.h5 bs=1 seek=900 conv=notrunc 2>/dev/null
status 0 alone train fine.yaml run.dir=next init_from.checkpoint=hurt
says '^init_from .*/hurt/checkpoints/step-00000016: 14 loaded, 0 missing, 0 unexpected'

status 2 alone ckpt verify pre --against fine.yaml
says '\-\-against is for lockstep ckpt show, not ckpt verify'
status 2 alone train pre.yaml --against fine.yaml
says 'lockstep train does not take --against'
finish

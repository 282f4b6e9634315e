#!/bin/sh
# Parameter groups with their own rates and schedules, weight decay that is scheduled: the same bits on 1 to 4 workers
# and through a resume; every rate is in metrics.csv; mistakes are told.
set -u
. "$(dirname "$0")/../support/lib.sh"

cat >grouped.yaml <<'E2'
run: {name: grouped, seed: 3}
data: {kind: regression, samples: 1008, validation_samples: 203, n_features: 20, noise: 0.1, standardize: true}
model: {kind: mlp, layers: [20, 64, 32, 1], norm: batch, dropout: 0.2}
loss: {kind: mse}
optimizer:
  kind: adamw
  lr: 1e-3
  groups:
    - {name: no_decay, params: ['*.bias', '1.*', '5.*'], weight_decay: 0}
    - {name: head, params: ['8.weight'], lr: 1e-2, scheduler: {kind: cosine, T_max: 4}}
scheduler: {kind: reduce_on_plateau, metric: validation.loss, patience: 0, threshold: 0.5}
weight_decay_scheduler: {kind: linear, start_factor: 0.1, total_iters: 3}
ema: {beta: 0.99, update_after_step: 10, update_every: 1}
train: {epochs: 6, batch: 32, lanes: 4}
checkpoint: {every: 40, unit: step, keep: 100, best: false}
E2

status 0 alone train grouped.yaml run.dir=whole
want=$(digests whole)
for n in 2 3 4; do same_on $n whole grouped.yaml; done
same "columns of rates" "$(head -n 1 whole/metrics.csv | cut -d, -f3-5)" lr,lr.no_decay,lr.head
same "the head's rate in the third epoch" "$(sed -n 4p whole/metrics.csv | cut -d, -f5)" 0.005
same "the plateau halved both groups that have it" \
    "$(tail -n 1 whole/metrics.csv | awk -F, '{ print ($3 < 1e-3) ($3 == $4) }')" 11

status 0 alone plan grouped.yaml
says '^optimizer adam.* \(group, weights'
says '^  the rest +[0-9]+  lr 0.001 reduce_on_plateau, weight_decay [0-9.]+ linear, beta1 0.9'
says '^  no_decay +[0-9]+  lr 0.001 reduce_on_plateau, weight_decay 0 linear'
says '^  head +32  lr 0.01 cosine, '

cp -a whole again
rm -r again/checkpoints/step-00000120 again/checkpoints/step-00000160 again/checkpoints/step-00000192
rm -f again/checkpoints/latest again/summary.json
status 0 workers 3 train grouped.yaml run.dir=again --resume
same "resumed at step 80 on 3 workers: digests" "$(digests again)" "$want"
same "resumed at step 80 on 3 workers: metrics" "$(cksum <again/metrics.csv)" "$(cksum <whole/metrics.csv)"

# A scheduled weight decay is another training than the constant one.
status 0 alone train grouped.yaml weight_decay_scheduler=null run.dir=constant
[ "$(digests constant)" = "$want" ] && same "weight_decay_scheduler does" nothing something

status 2 alone train grouped.yaml 'optimizer.groups=[{name: a, params: ["9.*"]}]'
says 'params of group a: `9..` matches no tensor'
status 2 alone train grouped.yaml 'optimizer.groups=[{name: a, params: ["*.bias"]}, {name: b, params: ["8.*"]}]'
says '8.bias is in two groups, a and b'
status 2 alone train grouped.yaml 'optimizer.groups=[{name: a, params: ["*.bias"], kind: sgd}]'
says 'groups\[0\].kind: is the same for all groups'
status 2 alone train grouped.yaml 'optimizer.groups=[{name: a, lr: 1}]'
says 'params is missing'
status 2 alone train grouped.yaml 'optimizer.groups=[{params: ["*.bias"], leaningrate: 1}]'
says 'no such key of a group'
finish

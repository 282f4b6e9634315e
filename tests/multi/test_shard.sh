#!/bin/sh
# dist.shard: optimizer holds a part of the optimizer's states on each worker, and trains to the same bits: on 1 to 4
# workers, through stages that freeze and unfreeze, with groups, clipping, EMA and steps that are skipped; killed and
# resumed on other counts, and from sharded to not and back; and a worker holds its share alone.
set -u
. "$(dirname "$0")/../support/lib.sh"

cat >staged.yaml <<'RECIPE'
run: {name: staged, seed: 3}
data: {kind: regression, samples: 320, validation_samples: 60, n_features: 40, noise: 0.1, standardize: true}
model: {kind: mlp, layers: [40, 300, 300, 300, 1], norm: batch}
loss: {kind: mse}
optimizer:
  kind: adam
  lr: 1e-3
  clip_norm: 0.3
  groups: [{name: biases, params: ['*.bias'], weight_decay: 0.01}]
ema: {beta: 0.9, update_after_step: 5, update_every: 1}
train: {epochs: 2, batch: 32, lanes: 4}
stages:
  - {name: all}
  - {name: upper, freeze: ['0.*', '1.*', '4.*'], optimizer: {lr: 1e-2}}
  - {name: again, unfreeze: ['*']}
checkpoint: {every: 7, unit: step, keep: 100, best: false}
dist: {bucket_bytes: 400000}
RECIPE

shard=dist.shard=optimizer
status 0 alone train staged.yaml run.dir=whole
want=$(digests whole)
for n in 1 2 3 4; do
    status 0 workers $n train staged.yaml $shard run.dir=sharded-$n
    same "sharded on $n workers: digests" "$(digests sharded-$n)" "$want"
    same "sharded on $n workers: metrics" "$(cksum <sharded-$n/metrics.csv)" "$(cksum <whole/metrics.csv)"
    status 0 alone ckpt diff whole sharded-$n # states, too
done

# Goes back to step $1 of the run $2 and resumes it from there on $3 workers.
resume_from() {
    rm -rf again
    cp -a "$2" again
    for step in again/checkpoints/step-*; do
        [ "$(echo "${step##*-}" | sed "s/^0*//")" -gt "$1" ] && rm -r "$step"
    done
    rm -f again/checkpoints/latest again/summary.json
    status 0 workers "$3" train staged.yaml run.dir=again --resume "$4"
    same "$2 resumed at step $1 on $3 workers, $4: digests" "$(digests again)" "$want"
}
resume_from 14 sharded-4 3 $shard          # another count, in the first stage
resume_from 28 sharded-4 2 dist.shard=none # in the second: not sharded any more
resume_from 20 sharded-3 4 $shard          # between the two
resume_from 28 whole 4 $shard              # sharded from now on
break_and_resume 4 3 whole staged.yaml $shard

# Steps that are not finite change nothing on any worker.
skips="$recipes/ema-regression.yaml data.samples=320 data.validation_samples=60 train.epochs=1 train.batch=32 train.lanes=4
    optimizer.lr=1e30 train.on_nonfinite=skip model.layers=[20,300,300,1]"
# shellcheck disable=SC2086
status 0 alone train $skips run.dir=skips
says 'the step is skipped'
# shellcheck disable=SC2086
status 0 workers 3 train $skips $shard run.dir=skips-3
says 'the step is skipped'
same "steps skipped: digests" "$(digests skips-3)" "$(digests skips)"

# What a worker holds.
held() { sed -n 's/^  optimizer  *\([0-9.]*\) \([KMG]iB\).*/\1 \2/p' out.txt | head -n 1; }
wide="model.layers=[20,2000,2000,1] optimizer.kind=adam"
# shellcheck disable=SC2086
status 0 workers 4 plan "$recipes/ema-regression.yaml" $wide
all=$(held)
# shellcheck disable=SC2086
status 0 workers 4 plan "$recipes/ema-regression.yaml" $wide $shard
share=$(held)
same "states of a worker: a quarter of $all" "$(echo "$all $share" | awk '{q = 4 * $3 / $1; print ($2 == $4 && q > 0.97 && q < 1.03) ? "yes" : $0}')" yes

status 2 workers 2 train staged.yaml $shard dist.reduction=mpi run.dir=refused
says 'dist.shard: optimizer goes with engine cpu and dist.reduction: tree'
finish

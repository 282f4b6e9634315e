#!/bin/sh
# A ResNet with augmentation on images in HDF5: the same weights on 1, 2 and 3 workers, in fp32 and bf16, and through a
# worker that is killed; frozen, evaluated and predicted with like any other network.
set -u
. "$(dirname "$0")/../support/lib.sh"

"$MAKE_IMAGES" train.h5 96 uint8 && "$MAKE_IMAGES" test.h5 32 uint8 || exit 1
cat >resnet.yaml <<'RECIPE'
run: {name: resnet}
data:
  kind: hdf5
  train: train.h5
  validation: test.h5
  transforms:
    - {kind: random_crop, padding: 2}
    - {kind: hflip}
    - {kind: normalize, mean: [0.4], std: [0.25]}
model: {kind: resnet18, stem: cifar, width: 0.0625}
loss: {kind: cross_entropy}
optimizer: {kind: sgd, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 5e-4}
scheduler: {kind: cosine, T_max: 4}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
train: {epochs: 4, batch: 24, lanes: 6}
checkpoint: {every: 1}
RECIPE
status 0 alone train resnet.yaml run.dir=whole
same_on 2 whole resnet.yaml
same_on 3 whole resnet.yaml
break_and_resume 3 2 whole resnet.yaml
# What a frozen network gives is kept, with the bits of layers that run in every epoch.
kept() { # NAME OVERRIDES...
    name=$1
    shift
    set -- "$@" 'data.transforms=[]' 'train.freeze=["*"]' 'train.unfreeze=["layer4.1.*","fc.*"]' train.frozen_piece=5
    status 0 alone train resnet.yaml "$@" train.cache_frozen=memory run.dir="$name"
    status 0 workers 2 train resnet.yaml "$@" train.cache_frozen=no run.dir="$name-none"
    same "$name, kept nothing: digests" "$(digests "$name-none")" "$(digests "$name")"
}
kept kept train.epochs=2
if alone plan resnet.yaml engine.precision=bf16 2>&1 | grep -q 'cannot compute in bf16'; then
    echo "skipped: bf16: this processor cannot compute in it"
else
    status 0 alone train resnet.yaml run.dir=rounded engine.precision=bf16 train.epochs=1
    same_on 3 rounded resnet.yaml engine.precision=bf16 train.epochs=1
    [ "$(digests rounded)" != "$(digests whole)" ]
    same "bf16 gives other bits" $? 0
    kept kept-bf16 train.epochs=2 engine.precision=bf16
fi

status 0 workers 2 eval whole
says 'validation.accuracy'
status 0 alone plan resnet.yaml
says 'layer4.1.conv2'
status 0 workers 2 train resnet.yaml run.dir=head train.epochs=1 'init_from={checkpoint: whole}' 'train.freeze=["*"]' \
    'train.unfreeze=["fc.*"]'
status 2 alone train resnet.yaml run.dir=none 'model={kind: vgg11}'
says "resnet.yaml:[0-9]+: data.transforms: the data's images behind these: 28 x 28 pixels are too small for a vgg.* at least 32; a larger"
status 2 alone train resnet.yaml run.dir=none 'model={kind: vgg11, image: [1, 28, 28]}'
says 'model.image: 28 x 28 pixels are too small for a vgg.* at least 32$'
status 2 alone plan resnet.yaml model.width=1e9
says '^lockstep: model.width is 1e\+09; it must be above 0 and at most 64'
status 2 alone train resnet.yaml run.dir=none model.kind=resnet19
says '.resnet19. is none of .*did you mean .resnet18.'
finish

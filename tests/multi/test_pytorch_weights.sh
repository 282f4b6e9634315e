#!/bin/sh
# Weights as safetensors: a run's export is its weights, bit for bit, for eval, predict, digest, diff and init_from; a new head,
# frozen layers and a resume without the file; what is refused.
set -u
. "$(dirname "$0")/../support/lib.sh"

sh "$here/make_idx.sh" "$work" 120 40
cat >pictures.yaml <<'RECIPE'
run: {name: pictures}
data: {kind: idx, train: train-images, train_labels: train-labels, validation: test-images, validation_labels: test-labels, pixel_mean: 0.3, pixel_std: 0.4}
model: {kind: cnn, channels: [4, 6], hidden: [12], norm: batch, dropout: 0.2}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-3}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
train: {epochs: 2, batch: 24, lanes: 2}
RECIPE
status 0 workers 2 train pictures.yaml run.dir=run
status 0 alone ckpt export run -o w.safetensors
says '^w.safetensors: 14 tensors of .*/run/checkpoints/step-00000010$'
status 0 alone ckpt export run -o ema.safetensors --ema
says ', its EMA$'
step=$(alone ckpt list run | awk '/latest/ { print $3 }')

# The same bits, whatever looks at them.
same "digest of the file" "$(alone ckpt digest w.safetensors)" "$(alone ckpt digest run)"
same "digest of the EMA's file" "$(alone ckpt digest ema.safetensors)" "$(alone ckpt digest run --ema)"
status 0 alone ckpt diff w.safetensors run
says '^14 tensors have the same bits, 0 differ'
status 0 alone ckpt diff run ema.safetensors --ema
status 1 alone ckpt diff w.safetensors ema.safetensors
status 0 alone ckpt verify w.safetensors
says 'header, types, shapes and places are right; 14 tensors'
status 0 alone ckpt show w.safetensors
says '^  format: pt$'
says "^  step: $step\$"
says '^  classifier.3.weight +F32 +\(10, 12\)$'
status 0 alone ckpt export w.safetensors -o again.safetensors
same "exported again" "$(alone ckpt digest again.safetensors)" "$(alone ckpt digest run)"
grep -aq '"features.1.num_batches_tracked":{"dtype":"I64","shape":\[\],' w.safetensors
same "batch norms have num_batches_tracked" $? 0

# eval and predict with a recipe and the file say what they say with the run.
status 0 alone eval run
grep '  validation' out.txt >want.txt
status 0 workers 2 eval pictures.yaml --checkpoint w.safetensors
same "eval" "$(grep '  validation' out.txt)" "$(cat want.txt)"
same "eval speaks of no EMA" "$(grep -c ema.validation out.txt)" 0
status 0 alone eval run
awk '/ema.validation/ { sub("ema.", ""); print $1, $2 }' out.txt >want.txt
status 0 alone eval pictures.yaml --checkpoint ema.safetensors
same "eval of the EMA's file" "$(awk '/  validation/ { print $1, $2 }' out.txt)" "$(cat want.txt)"
status 0 alone predict run --data train-images --labels train-labels --out want.csv
status 0 workers 2 predict pictures.yaml --checkpoint w.safetensors --data train-images --labels train-labels --out got.csv
same "predict" "$(cksum <got.csv)" "$(cksum <want.csv)"
status 2 alone predict pictures.yaml --checkpoint w.safetensors --ema
says '^lockstep: --ema: w.safetensors has one set of weights'
status 2 alone eval pictures.yaml --checkpoint w.safetensors --ema --confusion c.csv
says '^lockstep: --ema: w.safetensors has one set of weights'
status 2 alone predict pictures.yaml --checkpoint w.safetensors model.channels=[4,5]
says '^lockstep: w.safetensors: the checkpoint does not fit this model: 8 loaded, .* of another shape \(features.4.weight: \(6, 4, 3, 3\) in the checkpoint, \(5, 4, 3, 3\) here'
status 3 alone predict pictures.yaml --checkpoint w.safetensors data.train=nowhere --data test-images
says 'for the statistics of training, which w.safetensors comes without'

# Workers in folders of their own, whose files of that name differ.
mkdir one two
cp w.safetensors one/w.safetensors
cp ema.safetensors two/w.safetensors
apart() { timeout 120 mpirun --oversubscribe -n 1 --wdir "$work/one" "$lockstep" "$@" : -n 1 --wdir "$work/two" "$lockstep" "$@"; }
status 4 apart eval "$work/pictures.yaml" --checkpoint w.safetensors
says "^lockstep: rank 1 .*: w.safetensors: the file that this worker has is not rank 0's"
cp w.safetensors two/w.safetensors
status 0 apart eval "$work/pictures.yaml" --checkpoint w.safetensors

# A file becomes a run by training nothing.
status 0 alone train pictures.yaml run.dir=import train.epochs=0 init_from=w.safetensors
same "a run made of a file" "$(alone ckpt digest import)" "$(alone ckpt digest run)"

# Statistics of the training part are fitted as a run would.
awk 'BEGIN { srand(5); print "a,b,y"; for (i = 0; i < 200; i++) { a = 10 * rand(); print a "," rand() "," 1000 + 50 * a } }' >line.csv
cat >line.yaml <<'RECIPE'
run: {name: line}
data: {kind: csv, train: line.csv, target: y, validation_fraction: 0.2, standardize: true}
model: {kind: mlp, layers: [2, 8, 1]}
loss: {kind: mse}
optimizer: {kind: adam, lr: 1e-2}
train: {epochs: 3, batch: 32, lanes: 1}
RECIPE
status 0 alone train line.yaml run.dir=line
status 0 alone ckpt export line -o line.safetensors
status 0 alone predict line --data line.csv --out want.csv
status 0 alone predict line.yaml --checkpoint line.safetensors --data line.csv --out got.csv
same "predict in the units of the data" "$(cksum <got.csv)" "$(cksum <want.csv)"

# Fine-tuning from the file: a new head of another shape first alone, then everything, in batches and at rates of their own.
cat >fine.yaml <<'RECIPE'
run: {name: fine, seed: 4}
data: {kind: idx, train: train-images, train_labels: train-labels, validation: test-images, validation_labels: test-labels, pixel_mean: 0.3, pixel_std: 0.4}
model: {kind: cnn, channels: [4, 6], hidden: [12], classes: 11, norm: batch, dropout: 0.2}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-3}
train: {batch: 8, lanes: 2}
checkpoint: {keep: 9}
init_from: {checkpoint: w.safetensors, strict: false}
stages:
  - {name: head, epochs: 1, freeze: ['*'], unfreeze: ['classifier.3.*']}
  - {name: all, epochs: 1, unfreeze: ['*'], batch: 4, optimizer: {lr: 1e-4}}
RECIPE
report='12 loaded, 0 missing, 0 unexpected, 2 of another shape \(classifier.3.weight: \(10, 12\) in the checkpoint, \(11, 12\) here; classifier.3.bias: \(10\) in the checkpoint, \(11\) here\)'
status 0 alone ckpt show w.safetensors --against fine.yaml
says '^classifier.3.weight +classifier.3.weight +\(11, 12\) +other shape +\(10, 12\) in the checkpoint, \(11, 12\) here'
says '^12 loaded, 0 missing, 0 unexpected, 2 of another shape$'
status 0 alone train fine.yaml run.dir=fine
says "^init_from .*w.safetensors \(XXH3 [0-9a-f]{32}\): $report\$"
same "the file's hash is in the journal" "$(grep '"event":"init_from"' fine/journal.jsonl | grep -cE 'XXH3 [0-9a-f]{32}\): 12 loaded')" 1
same "steps of both stages, in their batches" "$(alone ckpt list fine | awk '/latest/ { print $3 }')" 45
same_on 2 fine fine.yaml
# From the folder of the run they come from it is the same run.
status 0 alone train fine.yaml run.dir=from-run init_from.checkpoint=run
same "from the file and from the run" "$(digests from-run)" "$(digests fine)"
# A resume does not need the file.
mv w.safetensors away.safetensors
cp -a fine again
rm -rf again/checkpoints/step-00000045 again/checkpoints/latest again/summary.json
status 0 workers 2 train fine.yaml run.dir=again --resume
same "resumed without the file" "$(digests again)" "$(digests fine)"
status 4 alone train fine.yaml run.dir=bad
says 'fine.yaml:8: init_from.checkpoint: there is no checkpoint at .*w.safetensors: No such file'
mv away.safetensors w.safetensors

# What is refused, with line and reason.
status 2 alone train fine.yaml run.dir=bad init_from.strict=true
says "^lockstep: fine.yaml:8: init_from.checkpoint: the checkpoint does not fit this model: $report; strict: false loads what fits"
status 2 alone train fine.yaml run.dir=bad init_from.ema=true
says '^lockstep: init_from.ema=true: init_from.ema: .*w.safetensors has one set of weights; ema: false takes them'
head -c 2000 w.safetensors >cut.safetensors
status 4 workers 2 train fine.yaml run.dir=bad init_from.checkpoint=cut.safetensors
says 'init_from.checkpoint: rank 0 .*: cut.safetensors: tensor .*: its bytes \[[0-9]+, [0-9]+\) lie beyond the [0-9]+ of data that the file has: it is cut short, copy it again$'
printf 'PK\003\004..........' >w.pt
status 4 alone train fine.yaml run.dir=bad init_from.checkpoint=w.pt
says 'init_from.checkpoint: w.pt: this is an archive of pickles, as torch.save\(\) writes it, and only PyTorch can read that'
says '^save_file\(tensors, sys.argv\[2\]'
status 4 alone predict pictures.yaml --checkpoint w.pt
says 'w.pt: this is an archive of pickles'
status 4 alone ckpt show w.pt
mkdir hub
cp w.safetensors hub/model.safetensors
status 4 alone eval pictures.yaml --checkpoint hub
says 'hub is no run, and no checkpoint is in it; its weights are named by their file: hub/model.safetensors$'
status 2 alone ckpt list w.safetensors
says '^lockstep: w.safetensors: a file has no list of checkpoints; .lockstep ckpt show w.safetensors. tells'
same "a run that was refused left no folder" "$(ls -d bad 2>/dev/null)" ""

# Values that are no numbers, and a variance below 0, are taken, with a word wherever they come in and come out.
spoil() { # tensor, the first number's bytes, file
    cp w.safetensors "$3"
    at=$(grep -ao "\"$1\":{[^}]*}" w.safetensors | sed 's/.*"data_offsets":\[\([0-9]*\),.*/\1/')
    printf "$2" | dd of="$3" bs=1 seek=$((8 + $(od -An -tu8 -N8 w.safetensors) + at)) conv=notrunc 2>/dev/null
}
spoil classifier.3.bias '\000\000\300\177' nan.safetensors
spoil features.1.running_var '\000\000\200\277' below.safetensors
odd='warning: nan.safetensors: 1 tensor with values that are not finite: classifier.3.bias$'
status 0 alone ckpt verify nan.safetensors
says "$odd"
says 'header, types, shapes and places are right; 14 tensors$'
status 0 alone ckpt verify below.safetensors
says 'warning: below.safetensors: 1 tensor with a variance below 0: features.1.running_var$'
status 0 alone ckpt verify w.safetensors
same "a good file is no reason for a warning" "$(grep -c warning out.txt)" 0
status 0 workers 2 eval pictures.yaml --checkpoint nan.safetensors
says "$odd"
says '^  validation.loss +nan$'
says 'warning: validation.loss is nan: the weights or the data hold values'
same "each word is said by one worker" "$(grep -c warning out.txt)" 2
status 0 alone train pictures.yaml run.dir=odd train.epochs=0 init_from=nan.safetensors
says "$odd"
says '^epoch   0 .*  val nan '
says 'warning: validation.loss is nan, ema.validation.loss is nan: the weights or the data hold values'
status 5 alone train pictures.yaml run.dir=odd-steps init_from=nan.safetensors
says 'step 0: the loss is nan.*; look at the weights of init_from, lower optimizer.lr'

status 2 alone ckpt export run
says 'needs -o FILE.safetensors'
status 2 alone ckpt export run -o w.pt
says "safetensors is what is written, and w.pt has another format's name"
status 2 alone ckpt export line -o x.safetensors --ema
says '/line/checkpoints/step-00000015 has no EMA'
status 2 alone ckpt show run -o x.safetensors
says '\-\-out is for lockstep ckpt export, not ckpt show'
status 1 alone ckpt export run -o nowhere/w.safetensors
says 'cannot write nowhere/w.safetensors: No such file or directory'
finish

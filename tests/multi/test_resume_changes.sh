#!/bin/sh
# A recipe that changed between a checkpoint and --resume: what is told, what is refused, what is kept; and that eval and
# predict say where a recipe is not what the run was trained with.
set -u
. "$(dirname "$0")/../support/lib.sh"

set -- "$recipes/ema-regression.yaml" train.early_stop=null run.dir=run
status 0 alone train "$@" train.epochs=3
first=$(cksum <run/recipe.yaml)

for key in model.activation=tanh model.dropout=0 loss.kind=l1 data.noise=3 data.standardize=features engine.precision=bf16; do
    status 2 alone train "$@" train.epochs=5 --resume "$key"
    says "^lockstep: --resume: the checkpoint belongs to another run: ${key%%=*} .* -> ${key#*=}; .*--change"
done
same "one message" "$(grep -c '^lockstep: ' out.txt)" 1
same "a refused resume leaves the recipe" "$(cksum <run/recipe.yaml)" "$first"
status 2 alone train "$@" train.epochs=5 --resume ema=null scheduler=null
says 'metrics.csv has other columns than this run'
same "so does one that metrics.csv refuses" "$(cksum <run/recipe.yaml; ls run/recipe*)" "$first
run/recipe.yaml"
status 0 alone predict run --ema --out /dev/null

status 0 workers 2 train "$@" train.epochs=5 --resume optimizer.lr=0.002 scheduler.patience=3
says '^lockstep: resuming at step 150 with 3 changes: optimizer.lr 1e-3 -> 0.002, .*scheduler.patience'
says 'train.epochs 3 -> 5'
same "told by one worker" "$(grep -c 'resuming at step' out.txt)" 1
same "a line of the journal" "$(grep -c 'changed since this checkpoint was saved: .*optimizer.lr 1e-3 -> 0.002' run/journal.jsonl)" 1
same "the recipe before is kept" "$(cksum <run/recipe.1.yaml)" "$first"
status 0 alone train "$@" train.epochs=5 --resume optimizer.lr=0.002 scheduler.patience=3
same "no change, no word" "$(grep -c 'resuming at step .* with' out.txt)" 0
same "nothing more is kept" "$(ls run/recipe*)" "run/recipe.1.yaml
run/recipe.yaml"

status 0 alone train "$@" train.epochs=6 --resume optimizer.lr=0.002 scheduler.patience=3 model.activation=tanh \
    optimizer.kind=sgd --change
says 'model.activation relu -> tanh'
says 'optimizer.kind adam -> sgd \(what the new one cannot use of its state is dropped\)'
status 0 alone train "$@" train.epochs=7 --resume optimizer.lr=0.002 scheduler.patience=3 model.activation=tanh \
    optimizer.kind=adamw --change
says 'optimizer.kind sgd -> adamw'

# The frozen set.
status 0 alone train "$@" train.epochs=1 run.dir=frozen "train.freeze=['0.*']"
status 0 alone train "$@" train.epochs=2 run.dir=frozen "train.freeze=['0.*', '3.*']" --resume
says 'frozen since the checkpoint: 3.weight, 3.bias$'
status 0 alone train "$@" train.epochs=3 run.dir=frozen "train.freeze=['0.weight', '3.*']" --resume
says 'training again, with an optimizer state that begins anew: 0.bias$'
# It counts its own updates from there on: 50 an epoch.
status 0 alone ckpt show frozen
says 'optimizer/step/0.bias *50$'

# A recipe beside its run.
status 0 alone train "$@" train.epochs=1 run.dir=looked model.activation=gelu
status 0 alone eval "$@" run.dir=looked
says 'warning: this is not what .*looked/checkpoints/.* was trained with: model.activation gelu -> relu'
status 0 alone predict "$@" run.dir=looked -o p.csv
says 'warning: this is not what .*looked/checkpoints/.* was trained with: model.activation gelu -> relu'
status 0 alone eval looked
same "its own recipe is what it was trained with" "$(grep -c warning out.txt)" 0
finish

#!/bin/sh
# A network from a file of its own: compiled against the headers as they are installed, trained on one worker and on three with the same bits,
# evaluated and used from its run folder; what is wrong with a plug-in or its arguments is told, and a run that began with
# one does not go on with another.
set -u
. "$(dirname "$0")/../support/lib.sh"

include=$(dirname "$lockstep")/include # what cmake --install copies
cc=${CC:-cc}
command -v "$cc" >/dev/null || { echo "skipped: no C compiler"; exit 77; }
[ -d "$include/lockstep" ] || { echo "skipped: no headers beside the program"; exit 77; }
compile() { "$cc" -shared -fPIC -O1 -I "$include" "$2" -o "$1" || exit 1; }
compile residual.so "$here/../plugin/residual.c"

cat >own.yaml <<'RECIPE'
run: {name: own}
data: {kind: regression, samples: 240, validation_samples: 60, n_features: 6, standardize: true}
model: {plugin: residual.so, args: {inputs: 6, width: 8, dropout: 0.1}}
loss: {kind: mse}
optimizer: {kind: adamw, lr: 1e-3}
train: {epochs: 3, batch: 30, lanes: 3}
RECIPE
status 0 alone train own.yaml run.dir=one
status 0 workers 3 train own.yaml run.dir=three
one=$(alone ckpt digest one)
same "weights of three workers" "$(alone ckpt digest three)" "$one"
status 0 alone ckpt show one
says 'blocks\.1\.norm\.weight'
status 0 workers 2 eval one
says validation
status 0 alone predict one --out p.csv
same "predictions" "$(wc -l <p.csv)" 61
status 0 alone train own.yaml run.dir=wide 'model.args={inputs: 6, width: 12}'
[ "$(alone ckpt digest wide)" = "$one" ] && { echo "FAILED: another width, the same weights"; n_failed=$((n_failed + 1)); }
status 0 alone train own.yaml run.dir=also-wide model.args.width=12 model.args.dropout=0
same "an argument by its name" "$(alone ckpt digest also-wide)" "$(alone ckpt digest wide)"

# Arguments and files that cannot be.
status 2 alone train own.yaml run.dir=bad 'model.args={widht: 8}'
says 'model.args: the network residual takes no `widht`; did you mean `width`'
status 2 alone train own.yaml run.dir=bad 'model.args={inputs: 6, width: wide}'
says 'model.args: width is `wide`; it must be a whole number'
status 2 alone train own.yaml run.dir=bad 'model.args={inputs: 7}'
says '^lockstep: own.yaml:3: model.kind: field x: the model reads fp32 \(7\) a sample, the data set gives fp32 \(6\)'
status 2 alone train own.yaml run.dir=bad model.plugin=nothing.so
says 'model.plugin: .*nothing.so'
echo 'int lk_other;' >other.c
compile other.so other.c
status 2 alone train own.yaml run.dir=bad model.plugin=other.so
says 'is not a plug-in: it has no lk_plugin_entry'
sed 's/LK_PLUGIN(network)/const lk_plugin lk_plugin_entry = {LK_PLUGIN_ABI + 1, \&network};/' "$here/../plugin/residual.c" >stale.c
compile stale.so stale.c
status 2 alone train own.yaml run.dir=bad model.plugin=stale.so
says 'compiled with other headers than this program'
for member in word sample build; do
    sed "/^static const lk_network/{s/\.$member = [^,}]*//; s/{, /{/; s/, ,/,/; s/, }/}/}" \
        "$here/../plugin/residual.c" >less.c
    "$cc" -shared -fPIC -w -I "$include" less.c -o less-$member.so || exit 1
    status 2 alone train own.yaml run.dir=bad model.plugin=less-$member.so
    says "less-$member.so: its network has no $member"
done

# A run goes on with the file that it began with, and with no other.
status 0 alone train own.yaml run.dir=one --resume train.epochs=4
sed 's/0\.1 \/ sqrt/0.2 \/ sqrt/' "$here/../plugin/residual.c" >changed.c
compile residual.so changed.c
status 4 alone train own.yaml run.dir=one --resume train.epochs=5
says 'model.plugin: the checkpoint was trained with .*residual.so'
status 0 alone eval one
says 'warning: model.plugin: the checkpoint was trained with .*residual.so'
status 0 alone train own.yaml run.dir=one --resume train.epochs=5 --change
says 'warning: model.plugin: the checkpoint was trained with .*residual.so'
finish

#!/bin/sh
# Bad recipes, data and arguments, on one worker and on three: the right exit status and one message that names the place.
set -u
. "$(dirname "$0")/../support/lib.sh"

recipe() { # overrides the given line of a good recipe and writes bad.yaml
    sed "$1" "$recipes/ema-regression.yaml" >bad.yaml
}

# What is found out at another place each (command line, recipe, its values, the data's file, a step) is said once by however
# many workers.
for n in 1 3; do
    recipe 's/^\( *\)dropout:/\1droput:/; s/ dropout:/ droput:/'
    status 2 workers $n train bad.yaml
    says 'bad.yaml:[0-9]+: model.droput: .*dropout'
    same "one message" "$(grep -c '^lockstep: ' out.txt)" 1
    status 2 workers $n train "$recipes/ema-regression.yaml" --resum
    says '^lockstep: --resum: no such option; did you mean --resume'
    same "one message" "$(grep -c '^lockstep: ' out.txt)" 1
    status 2 workers $n train "$recipes/ema-regression.yaml" 'model.layers=[21, 8, 1]'
    says 'model.layers: the first is 21, but a sample has 20 inputs'
    printf 'a,b,y\n1,2,3\n4,oops,6\n' >text.csv
    status 3 workers $n train "$recipes/ema-regression.yaml" 'data={kind: csv, train: text.csv, target: y, validation_fraction: 0.5}' 'model.layers=[2, 4, 1]'
    says 'text.csv:3: .*b.*oops'
    status 5 workers $n train "$recipes/ema-regression.yaml" optimizer.lr=1e30 train.epochs=3 run.dir="nan-$n"
    says 'step [0-9]+: the loss is (nan|inf)'
    same "no worker message twice" "$(grep -c 'the loss is' out.txt)" 1
done

status 2 alone train "$recipes/ema-regression.yaml" optimizer.lrr=1
says 'optimizer.lrr.*lr'
status 2 alone train "$recipes/ema-regression.yaml" train.batch=none
says 'train.batch'
OMP_THREAD_LIMIT=1 status 2 alone train "$recipes/ema-regression.yaml" engine.threads=2
says 'engine.threads is 2, but OMP_THREAD_LIMIT lets a process have 1'
awk 'BEGIN { for (i = 0; i < 999; i++) print i "," i * i }' >table.csv
status 2 alone train table.csv
says 'table.csv:1: recipe: expected keys, \{key: value\}, found `0,0 1,1 .{40,60}\.\.\.`$'
status 2 alone train nowhere.yaml
says 'nowhere.yaml'
status 2 alone trian nowhere.yaml
says 'train'
same "one message" "$(grep -c '^lockstep: ' out.txt)" 1
status 2 alone train "$recipes/ema-regression.yaml" --checkpoint x
says 'lockstep train does not take --checkpoint; it is for: eval predict'
status 2 alone doctor x
same "one message" "$(grep -c '^lockstep: ' out.txt)" 1
status 2 alone train "$recipes/ema-regression.yaml" train.lanes=2 train.batch=1
says 'train.batch: 1 samples cannot be cut into 2 lanes'
status 2 alone train "$recipes/ema-regression.yaml" 'scheduler={kind: reduce_on_plateau, metric: ema.validation.los}'
says 'ema.validation.loss'
printf 'a,b,y\n1,2,3\n4,,6\n' >empty.csv
status 3 alone train "$recipes/ema-regression.yaml" 'data={kind: csv, train: empty.csv, target: y, validation_fraction: 0.5}' 'model.layers=[2, 4, 1]'
says 'empty.csv:3: .*b'
status 3 alone train "$recipes/ema-regression.yaml" 'data={kind: csv, train: absent.csv, target: y, validation_fraction: 0.5}'
says 'absent.csv'
status 2 workers 5 train "$recipes/ema-regression.yaml" train.lanes=4
says '5 workers.*4 lanes|4 lanes.*5 workers'
status 2 alone train "$recipes/ema-regression.yaml" --engine cuda
says 'cuda|CUDA'
DNNL_MAX_CPU_ISA=AVX2 status 2 alone train "$recipes/ema-regression.yaml" engine.precision=bf16 run.dir=none
says '^lockstep: engine.precision=bf16: engine.precision: .*oneDNN .* cannot compute in bf16 on this processor: use fp32$'
status 4 alone eval "$recipes/ema-regression.yaml" run.dir=never
says 'no checkpoint in never'
finish

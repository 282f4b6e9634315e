#!/bin/sh
# The words behind lockstep: help of commands and keys, what other trainers call things, arguments that no command
# takes, and standard output that cannot be written.
set -u
. "$(dirname "$0")/../support/lib.sh"
recipe=$recipes/ema-regression.yaml

status 0 alone help train
says '^lockstep train RECIPE'
same "options of other commands" "$(grep -c -- '--csv' out.txt)" 0
status 0 alone lr --help
says '^  --csv'
status 0 alone help optimizer.betas
says '^optimizer.betas: decay of the two averages'
status 0 alone help batch
says '^train.batch: '
status 0 alone keys ema
says '^  ema.beta '
status 2 alone help nothing_like_it
says 'no such key'
status 2 alone
says '^lockstep: a command is missing'
status 0 workers 3 keys
same "one worker speaks" "$(grep -c '^  optimizer ' out.txt)" 1
# Words need no launcher in order: a world of five that is not there.
PMI_SIZE=5 PMI_RANK=0 status 0 alone --version
says '^lockstep [0-9]'

means() { # argument, pattern
    status 2 alone train "$recipe" $1
    says "$2"
}
means optimizer.learning_rate=1 'did you mean .optimizer.lr.'
means batch_size=4 'did you mean .train.batch.'
means epochs=3 'did you mean .train.epochs.'
means '--epochs 3' 'a key of the recipe is set by train.epochs=VALUE'
means --resum '--resum: no such option; did you mean --resume\?'
means --xyzzy '--xyzzy: no such option; see lockstep --help'
means engine.kind=gpu 'did you mean .cuda.'
means 'optimizer.groups.head.lr=1' 'the recipe has no group .head.'

status 0 alone train "$recipe" --train.epochs=1 model.activation=ReLU run.dir=run
status 0 alone train - run.dir=piped train.epochs=1 <"$recipe"
same "a recipe from standard input: digests" "$(digests piped)" "$(digests run)"
status 0 alone plan -- "$recipe"
status 0 alone ckpt digest run piped
same "a line a run" "$(cut -d' ' -f 3 out.txt | tr '\n' ' ')" "run piped "
status 0 alone ckpt diff run piped
status 0 alone train "$recipe" train.epochs=1 optimizer.lr=0.1 run.dir=other
status 1 alone ckpt diff run other
same "a difference is no failure" "$(grep -c '^lockstep:' out.txt)" 0
status 2 alone predict run -o p.h5
says 'predictions are written as CSV'
status 2 alone lr "$recipe" --plot x.pdf
says 'pictures are PNG files'
status 2 alone lr "$recipe" --vary optimizer.lr=1,2
says '--vary draws one recipe'

for command in "lr $recipe --csv" "plan $recipe" "eval run" "ckpt digest run" "train $recipe train.epochs=1 run.dir=full" keys; do
    got=0
    "$lockstep" $command >/dev/full 2>out.txt || got=$?
    same "status of $command to a full disk" "$got" 1
    says 'cannot write to standard output: No space left'
done
finish

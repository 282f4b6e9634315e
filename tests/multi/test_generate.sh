#!/bin/sh
# Texts that a network goes on with: the same for a seed on any number of workers and from a file of weights, greedy without
# temperature; of characters, bytes and byte pairs; without the training data; what a prompt may not be.
set -u
. "$(dirname "$0")/../support/lib.sh"

# Twelve months over and over: soon known by heart.  Windows of 17 characters begin anywhere in them.
awk 'BEGIN { for (i = 0; i < 480; i++) printf "%s\n", substr("janfebmaraprmayjunjulaugsepoctnovdec", i % 12 * 3 + 1, 3) }' >text.txt
cat >months.yaml <<'RECIPE'
run: {name: months, seed: 3}
data: {kind: tokens, train: text.txt, tokenizer: chars, sequence: 17}
model: {kind: gpt2, layers: 1, heads: 2, width: 32, context: 17}
loss: {kind: cross_entropy}
optimizer: {kind: adamw, lr: 1e-2}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
train: {epochs: 60, batch: 32, lanes: 2}
checkpoint: {every: 60}
RECIPE
status 0 alone train months.yaml run.dir=months

# generate NAME ARGS...: what comes, in NAME.txt.
generate() {
    name=$1
    shift
    alone generate "$@" >"$name.txt" 2>error.txt || { echo "FAILED: generate $*"; cat error.txt; n_failed=$((n_failed + 1)); }
}

generate greedy months --prompt 'jan
feb
' --tokens 40 --temperature 0
same "greedy, far behind the context" "$(tr '\n' ' ' <greedy.txt)" "jan feb mar apr may jun jul aug sep oct nov dec  "
generate likeliest months --prompt 'jan
feb
' --tokens 40 --top-k 1 --seed 9
same "the likeliest of one" "$(cksum <likeliest.txt)" "$(cksum <greedy.txt)"

hot='--tokens 200 --temperature 3'
# shellcheck disable=SC2086
{
    generate one months $hot --seed 4
    generate again months $hot --seed 4
    generate other months $hot --seed 5
    generate share months $hot --seed 4 --top-p 0.5
    workers 2 generate months $hot --seed 4 >two.txt 2>error.txt
}
same "a seed's text, again" "$(cksum <again.txt)" "$(cksum <one.txt)"
same "on two workers" "$(cksum <two.txt)" "$(cksum <one.txt)"
[ "$(cksum <other.txt)" != "$(cksum <one.txt)" ] && [ "$(cksum <share.txt)" != "$(cksum <one.txt)" ]
same "another seed, and half of what is likely, say something else" $? 0
generate seeded months --tokens 30
generate named months --tokens 30 --seed 3
same "the run's seed, where none is named" "$(cksum <seeded.txt)" "$(cksum <named.txt)"
generate zero months --tokens 30 --seed 0
[ "$(cksum <zero.txt)" != "$(cksum <seeded.txt)" ]
same "seed 0 is a seed of its own" $? 0
generate ema months --tokens 40 --temperature 0 --ema --prompt mar
says_months=$(tr '\n' ' ' <ema.txt)
same "the EMA's" "$says_months" "mar apr may jun jul aug sep oct nov dec jan "

# A file of weights, with a recipe; then without the training data, which the run does not need.
status 0 alone ckpt export months -o w.safetensors
# shellcheck disable=SC2086
generate file months.yaml --checkpoint w.safetensors $hot --seed 4
same "a file's text" "$(cksum <file.txt)" "$(cksum <one.txt)"
mv text.txt gone.txt
# shellcheck disable=SC2086
generate alone months $hot --seed 4
same "without the data" "$(cksum <alone.txt)" "$(cksum <one.txt)"
mv gone.txt text.txt

# Bytes, and byte pairs: of text, and of files of tokens; a text ends with <|endoftext|>.
status 0 alone train months.yaml run.dir=bytes data.tokenizer=bytes
generate bytes bytes --prompt 'jun
jul
' --tokens 12 --temperature 0
same "bytes" "$(tr '\n' ' ' <bytes.txt)" "jun jul aug sep oct  "
printf '#version: 0.2\na n\nj an\nm a\nma r\n' >merges.bpe
printf 'jan\nfeb\nmar\n' >winter.txt
set --
while [ $# -lt 48 ]; do set -- "$@" winter.txt; done
status 0 alone tokenize "$@" --merges merges.bpe --out months.bin
status 0 alone train months.yaml run.dir=pairs data.train=months.bin data.tokenizer=none data.vocabulary=261 data.sequence=7 model.context=7
generate pairs pairs data.merges=merges.bpe --prompt jan --tokens 50 --temperature 0
same "up to the end of the text" "$(tr '\n' ' ' <pairs.txt)" "jan feb mar  "
status 2 alone generate pairs
says 'data.merges: is missing: files of tokens do not say what text they were'

# What cannot be gone on with.
status 2 alone generate months --prompt 'janfebmaraprmayjun'
says '^lockstep: --prompt: it has 18 tokens, and the network looks back at 17'
status 3 alone generate months --prompt "$(printf 'ja\377')"
says '^lockstep: --prompt: byte 3, 0xff, is not UTF-8'
status 3 alone generate months --prompt 'Q'
says '^lockstep: --prompt:1: the character Q \(U\+0051\) is outside the vocabulary'
status 2 alone generate months --top-p 1.5
says '^lockstep: --top-p: 1.5 is no share'
status 2 alone generate months --temperature -1
says '^lockstep: --temperature: `-1` is not a number of at least 0'
status 4 alone generate months.yaml run.dir=never
says 'train first'
finish

#!/bin/sh
# GPT-2 on running text: the same weights, EMA and metrics on 1, 2, 3 and 4 workers, and through a worker's death and a resume
# in the middle of an epoch, in fp32 and in bf16; what decays; its weights as safetensors; what plan says of the largest one
# and of long sequences.
set -u
. "$(dirname "$0")/../support/lib.sh"

awk 'BEGIN { for (i = 0; i < 900; i++) printf "%s%s", substr("the cat sat on a mat, and so on", i * i % 23 + 1, 2 + i % 7), \
    i % 11 ? "" : "\n" }' >text.txt
cat >gpt2.yaml <<'RECIPE'
run: {name: gpt2}
data: {kind: tokens, train: text.txt, tokenizer: chars, sequence: 12, validation_fraction: 0.1}
model: {kind: gpt2, layers: 2, heads: 2, width: 16, context: 16, dropout: 0.1}
loss: {kind: cross_entropy}
optimizer: {kind: adamw, lr: 3e-3, betas: [0.9, 0.99], weight_decay: 0.1, clip_norm: 1}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
checkpoint: {every: 3, unit: step}
train: {epochs: 1, batch: 22, lanes: 4}   # lanes and the last batch are uneven
RECIPE

# check NAME OVERRIDES...
check() {
    name=$1
    shift
    status 0 workers 1 train gpt2.yaml "$@" run.dir="$name"
    for n in 2 3 4; do same_on $n "$name" gpt2.yaml "$@"; done
    status 0 workers 2 train gpt2.yaml "$@" train.epochs=40 run.dir="$name-long"
    break_and_resume 3 2 "$name-long" gpt2.yaml "$@" train.epochs=40
    rm -rf broken-3-2
}

check fp32
status 0 alone train gpt2.yaml model.tie=false run.dir=not-tied
status 0 alone ckpt show not-tied
says 'lm_head.weight +\([0-9]+, 16\)'
if alone plan gpt2.yaml engine.precision=bf16 2>&1 | grep -q 'cannot compute in bf16'; then
    echo "skipped: bf16: this processor cannot compute in it"
else
    check bf16 engine.precision=bf16
fi

# Weight decay is of matrices alone where nobody says otherwise.
status 0 alone plan gpt2.yaml
says '^  no_decay .*, weight_decay 0,'
says '^  h.0.ln_1.weight .* group 1$'
says '^  h.0.attn.c_attn.weight +\(16, 48\) .* group 0$'
status 0 alone plan gpt2.yaml 'optimizer.groups=[]'
same "groups, where none are wanted" "$(grep -c no_decay out.txt)" 0

# Its weights as a file, and back.
status 0 alone ckpt export fp32 -o w.safetensors
same "digest of the file" "$(alone ckpt digest w.safetensors)" "$(alone ckpt digest fp32)"
status 0 alone eval fp32
grep '^  validation' out.txt >want.txt
status 0 alone eval gpt2.yaml --checkpoint w.safetensors
same "evaluation of the file" "$(grep '^  validation' out.txt)" "$(cat want.txt)"

# The largest, of which nothing is taken: 1.5 billion weights, their gradients and two averages.
bytes='data.tokenizer=bytes data.sequence=16 train.batch=1 train.lanes=1 model.vocabulary=50257 ema=null'
sizes='model.layers=null model.heads=null model.width=null model.context=null'
# shellcheck disable=SC2086
status 0 alone plan gpt2.yaml $bytes $sizes model.kind=gpt2-xl
says '^gpt2: 1557611200 of 1557611200 weights train'
says '^  parameters +5.80[0-9] GiB'
says '^  optimizer +11.61 GiB'
says '^  h.47.mlp.c_proj.weight +\(6400, 1600\)'

# activations SEQUENCE: MB of a step.
activations() {
    # shellcheck disable=SC2086
    alone plan gpt2.yaml $bytes data.sequence="$1" model.context=4096 model.vocabulary=256 |
        sed -n 's/^  1 samples: .* \([0-9.e+]*\) MB of activations.*/\1/p'
}
awk 'BEGIN { for (i = 0; i < 9000; i++) printf "%c", 97 + i % 26 }' >text.txt
short=$(activations 1024) long=$(activations 4096)
same "activations at 1024 positions ($short MB) and at 4096 ($long MB) are as 1 to 4" \
    "$(awk -v s="$short" -v l="$long" 'BEGIN { print (s > 0 && l > 3.5 * s && l < 4.2 * s) ? "yes" : "no" }')" yes

status 2 alone plan gpt2.yaml model.heads=3
says 'model.width: 16 does not divide into 3 heads'
status 2 alone plan gpt2.yaml data.sequence=17
says '^lockstep: data.sequence=17: data.sequence: wpe: a sequence of 17 positions, but the network learns 16'
finish

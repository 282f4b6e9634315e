#!/bin/sh
# lockstep translate: what a run says of sentences, however they come and whatever is beside them; BLEU in evaluations, the same
# on any number of workers; the picture of attention; the message of everything that cannot be translated.
set -u
. "$(dirname "$0")/../support/lib.sh"

# Digits in words, and the same backwards; as other words, so that languages are told apart.
awk 'BEGIN {
    split("zero one two three four five six seven eight nine", word, " ")
    split("nul un deux trois quatre cinq six sept huit neuf", other, " ")
    for (line = 1; line <= 300; line++) {
        source = target = ""
        for (i = 0; i <= (line * 7) % 4; i++) {
            w = 1 + (line * 3 + i * i + int(line / 9)) % 10
            source = source (i ? " " : "") word[w]
            target = other[w] (i ? " " : "") target
        }
        print source "\t" target
    }
}' >pairs.txt
cat >pairs.yaml <<'RECIPE'
run: {name: pairs}
data: {kind: pairs, train: pairs.txt, validation_fraction: 0.2, steps: 6}
model: {kind: transformer, layers: [1, 2], hidden: 32, heads: 2, ffn: 32}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 5e-3, clip_norm: 1}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
metrics: {measure: [bleu, bleu2], train: true}
train: {epochs: 60, batch: 32, lanes: 4, evaluate_every: 30, best_metric: validation.bleu2}
RECIPE
status 0 workers 1 train pairs.yaml run.dir=one
for n in 2 3 4; do same_on $n one pairs.yaml; done

# column NAME: of the last line of metrics.csv.
column() { awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i } END { print $c }' one/metrics.csv; }
better() { awk -v a="$1" -v b="$2" 'BEGIN { print (a > b) ? "yes" : "no: " a }'; }
same "it has learnt to translate: BLEU is above 30" "$(better "$(column train_eval.bleu)" 30)" yes
same "and the textbook's BLEU-2 above 0.5" "$(better "$(column train_eval.bleu2)" 0.5)" yes
status 0 workers 3 eval one
for metric in validation.bleu validation.bleu2 ema.validation.bleu2; do
    says "^  $metric +$(column $metric | cut -c 1-6)"
done

# However sentences come.
cut -f 1 pairs.txt >sentences.txt
alone translate one <sentences.txt >all.txt
same "every line has its translation" "$(cut -f 1 all.txt | cksum)" "$(cksum <sentences.txt)"
for line in 1 2 3 4 150; do
    sed -n "${line}p" sentences.txt | alone translate one >alone.txt
    same "line $line is translated as among 300" "$(cat alone.txt)" "$(sed -n "${line}p" all.txt)"
done
same "and as a word of the command line" "$(alone translate one "$(sed -n 3p sentences.txt)")" "$(sed -n 3p all.txt)"
same "and on two workers" "$(workers 2 translate one "$(sed -n 3p sentences.txt)" "$(sed -n 4p sentences.txt)")" \
    "$(sed -n 3,4p all.txt)"
same "two sentences" "$(printf 'zero\n\r\nnine\r\n' | alone translate one | cut -f 1 | tr '\n' '|')" "zero||nine|"
alone translate one --beam 1 <sentences.txt >beam.txt
same "a beam of one is the likeliest word each time" "$(cksum <beam.txt)" "$(cksum <all.txt)"
status 0 alone translate one --beam 4 --length-penalty 1 zero
says '^zero	nul$'
status 0 alone translate one --ema --checkpoint one/checkpoints/best zero
says '^zero	nul$'
status 0 alone ckpt export one -o weights.safetensors
same "a file of weights says the same" "$(alone translate one --checkpoint weights.safetensors <sentences.txt | cksum)" \
    "$(cksum <all.txt)"
mv pairs.txt gone.txt
same "the training data are not needed" "$(alone translate one zero)" "$(printf 'zero\tnul')"
mv gone.txt pairs.txt

# What cannot be.
status 0 alone translate one 'one two three four five six seven'
says 'sentence 1: the sentence has 8 tokens, <eos> among them; the first 6 are read, as in training'
printf 'one\ntwo\n\377\n' >bad.txt
status 3 alone translate one <bad.txt
says '^lockstep: standard input:3: byte 1 of the line, 0xff, is not UTF-8'
status 2 alone translate one --length-penalty 1 zero
says 'give --beam K, too'
status 2 alone translate one --attention picture.jpg zero
says 'picture.jpg: pictures are PNG files'
status 2 alone translate one --attention picture.png zero one
says 'draws the words of one sentence'
status 2 alone train pairs.yaml data.kind=csv data.steps=null data.target=y metrics.measure=[bleu] run.dir=refused
says '`bleu` is no metric of loss cross_entropy on data that are no pairs'

if command -v gnuplot >/dev/null; then
    status 0 alone translate one --attention attention.png 'one two three'
    same "the picture is drawn" "$([ "$(wc -c <attention.png)" -gt 20000 ] && echo yes)" yes
    mv one "'one'"
    status 0 alone plot "'one'" -o quoted.png
    same "a name that begins with a quote is drawn, too" "$([ -s quoted.png ] && echo yes)" yes
else
    echo "skipped: pictures: no gnuplot"
fi
finish

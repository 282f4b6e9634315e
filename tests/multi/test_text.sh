#!/bin/sh
# Text, by the program: pairs of sentences train a Transformer and running text a plug-in, with the same bits on any number of
# workers and through a kill; vocabularies are in the run's folder and serve other files; texts become files of tokens.
set -u
. "$(dirname "$0")/../support/lib.sh"

# Sentences whose lengths vary from lane to lane; each twice.
awk 'BEGIN { for (i = 0; i < 120; i++) { s = "say"; t = "dis"
    for (k = 0; k <= i % 7; k++) { s = s " w" (i * 5 + k) % 11; t = t " m" (i * 3 + k) % 9 }
    print s "." (i % 2 ? "" : " ") "\t" toupper(t) " !\tby nobody"; print s " .\t" t "\tby nobody" } }' >pairs.txt
cat >pairs.yaml <<'RECIPE'
run: {name: pairs, seed: 3}
data: {kind: pairs, train: pairs.txt, validation_fraction: 0.2}
model: {kind: transformer, layers: 1, heads: 2, hidden: 16, ffn: 32, dropout: 0.1}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 5e-3}
train: {epochs: 3, batch: 24, lanes: 3}
checkpoint: {every: 1}
ema: {beta: 0.9}
metrics: {measure: [perplexity]}
RECIPE
status 0 alone train pairs.yaml run.dir=pairs
same_on 3 pairs pairs.yaml
status 0 alone train pairs.yaml train.epochs=80 run.dir=long # one that ends before it can be broken proves nothing
break_and_resume 2 3 long pairs.yaml train.epochs=80
same "special words" "$(head -n 4 pairs/words-source.txt | tr '\n' ' ')" "<pad> <bos> <eos> <unk> "
same "the first of the most frequent words" "$(sed -n 5p pairs/words-source.txt)" say
same "capitals in the target's words" "$(grep -c '[A-Z]' pairs/words-target.txt)" 0
status 0 workers 2 eval pairs
says 'perplexity'
printf 'say w1 nothing.\tdis m1 rien !\n' >other.txt
status 0 alone eval pairs --data other.txt
printf 'say w1\tdis m1\nsay w2 dis m2\n' >bad.txt
status 3 alone eval pairs --data bad.txt
says 'bad.txt:2: the line has no tab'

# Byte pairs, learned from what trains or from files; the run's folder has them, and no other list resumes it.
status 0 alone train pairs.yaml run.dir=bpe data.tokenizer=bpe data.vocabulary=264 metrics.measure=[bleu2]
same_on 2 bpe pairs.yaml data.tokenizer=bpe data.vocabulary=264 metrics.measure=[bleu2]
status 0 alone translate bpe "say w1 w2."
same "a translation in words, not in byte pairs" "$(grep -c '^say w1 w2\.	' out.txt):$(grep -c 'Ġ' out.txt)" 1:0
same "merges in the run's folder" "$(wc -l <bpe/vocab.bpe)" 9
status 0 alone eval bpe --data other.txt
status 0 alone tokenize pairs.txt --learn 264 --pairs -o learned.bpe
says 'learned.bpe: 264 tokens from'
status 0 alone train pairs.yaml run.dir=by-list data.tokenizer=bpe data.merges=bpe/vocab.bpe
same "by the list of the first run" "$(digests by-list)" "$(digests bpe)"
cp bpe/vocab.bpe mine.bpe
status 0 alone train pairs.yaml run.dir=mine train.epochs=1 data.tokenizer=bpe data.merges=mine.bpe
sed -i '$d' mine.bpe
status 3 alone train pairs.yaml run.dir=mine data.tokenizer=bpe data.merges=mine.bpe --resume
says 'mine.bpe:[0-9]*: this is not the list of merges that the run was trained with'
rm mine.bpe
status 0 alone train pairs.yaml run.dir=mine data.tokenizer=bpe data.merges=mine.bpe --resume
same "resumed without the file" "$(digests mine)" "$(digests bpe)"
status 2 alone train pairs.yaml run.dir=none data.tokenizer=bpe
says 'bpe needs data.merges'
status 2 alone tokenize pairs.txt --learn 100 -o none.bpe
says '--learn: 100 is not from 256'

# The textbook's scale: a batch of all pairs, filled up to 12 steps, counts 1/12 of the sum over its words; so where the mean
# over words is given a rate that is larger by words / 12, the second loss is the same again, but for the scale.
words=$(awk -F'\t' '{ n += split($2, word, " ") + 1 } END { print n }' pairs.txt)
all="data.steps=12 data.validation_fraction=0 train.batch=240 train.lanes=1 train.epochs=2 model.dropout=0 optimizer.kind=sgd metrics.measure=[]"
status 0 alone train pairs.yaml run.dir=sequence $all loss.reduction=sequence optimizer.lr=0.002
status 0 alone train pairs.yaml run.dir=mean $all optimizer.lr="$(awk "BEGIN { print 0.002 * $words / 12 }")"
same "loss by words, of that by sentences" "$(paste -d, mean/metrics.csv sequence/metrics.csv | awk -F, 'NR == 1 { half = NF / 2; next }
    { ratio = $4 / $(half + 4); printf "%s ", (ratio > 11.999 && ratio < 12.001) ? 12 : ratio
      if (NR == 3) print ($4 < first) ? "falls" : "stays"
      first = $4 }')" "12 12 falls"

# Texts as a file of tokens.
printf '#version: 0.2\na b\nab ab\n' >merges.bpe
printf 'abababab ab\n' >a.txt
printf 'ba\n' >b.txt
status 0 alone tokenize a.txt b.txt --merges merges.bpe --out ab.bin
says 'ab.bin: 10 tokens of 15 bytes'
same "tokens" "$(od -An -tu2 -j1024 ab.bin | tr -s ' \n' ' ')" " 258 257 257 220 256 198 258 65 64 198 "
printf 'abc\n\377\n' >not.txt
status 3 alone tokenize not.txt --merges merges.bpe --out not.bin
says 'not.txt:2: byte 0xff is not UTF-8'
same "a file of what is no text" "$([ -e not.bin ] && echo yes || echo no)" no
status 2 alone tokenize a.txt --merges merges.bpe
says 'tokenize needs --out FILE'

# Running text, mapped, by a network of one's own.
include=$(dirname "$lockstep")/include # what cmake --install copies
cc=${CC:-cc}
if command -v "$cc" >/dev/null && [ -d "$include/lockstep" ]; then
    "$cc" -shared -fPIC -O1 -I "$include" "$here/../plugin/bigram.c" -o bigram.so || exit 1
    awk 'BEGIN { for (i = 0; i < 3000; i++) printf "%s", substr("ab ba.", i * i % 6 + 1, 1 + i % 3) }' >text.txt
    status 0 alone tokenize text.txt --merges merges.bpe --out text.bin
    cat >tokens.yaml <<'RECIPE'
run: {name: tokens, seed: 3}
data: {kind: tokens, train: text.bin, sequence: 16, vocabulary: 259, validation_fraction: 0.1}
model: {plugin: bigram.so, args: {vocabulary: 259, width: 8}}
loss: {kind: cross_entropy}
optimizer: {kind: adamw, lr: 1e-2}
train: {epochs: 2, batch: 16, lanes: 3}
ema: {beta: 0.9}
RECIPE
    status 0 alone train tokens.yaml run.dir=tokens
    same_on 3 tokens tokens.yaml
    status 0 alone train tokens.yaml run.dir=text data.train=text.txt data.tokenizer=gpt2 data.merges=merges.bpe
    says 'validation'
    status 0 alone train tokens.yaml run.dir=chars data.train=text.txt data.tokenizer=chars model.args.vocabulary=4
    status 0 workers 2 eval chars
    printf 'a bc\nno\n' >strange.txt
    status 3 alone eval chars --data strange.txt
    says 'strange.txt:1: the character c'
    status 2 alone train tokens.yaml run.dir=none data.train=text.txt data.tokenizer=gpt2
    says 'data.merges: is missing'
    status 3 alone train tokens.yaml run.dir=none data.vocabulary=250 model.args.vocabulary=250
    says 'text.bin: token [0-9]* is 25[0-9], outside the vocabulary'
    head -c 2000 text.bin >cut.bin
    status 3 alone train tokens.yaml run.dir=none data.train=cut.bin
    says 'cut.bin holds 2000 bytes; its header says'
fi
finish

"""bleu.json: BLEU by sacreBLEU (its corpus BLEU with the tokenizer 13a) and by the textbook's function, on awkward text.

    python make_bleu.py >bleu.json

The textbook: Zhang, Lipton, Li and Smola, Dive into Deep Learning (d2l 1.0), bleu."""
import collections
import json
import math

import sacrebleu


def bleu(pred_seq, label_seq, k):
    pred_tokens, label_tokens = pred_seq.split(' '), label_seq.split(' ')
    len_pred, len_label = len(pred_tokens), len(label_tokens)
    score = math.exp(min(0, 1 - len_label / len_pred))
    for n in range(1, min(k, len_pred) + 1):
        num_matches, label_subs = 0, collections.defaultdict(int)
        for i in range(len_label - n + 1):
            label_subs[' '.join(label_tokens[i: i + n])] += 1
        for i in range(len_pred - n + 1):
            if label_subs[' '.join(pred_tokens[i: i + n])] > 0:
                num_matches += 1
                label_subs[' '.join(pred_tokens[i: i + n])] -= 1
        score *= math.pow(num_matches / (len_pred - n + 1), math.pow(0.5, n))
    return score


corpora = [
    [("The cat sat on the mat.", "The cat sat on the mat.")],
    [("the cat the cat on the mat", "The cat is on the mat."), ("There is 3.5% less, isn't there?", "There's 3.5 % less, is there?")],
    [("It costs $1,000.50 (or 900-1000 euros).", "It costs 1,000.50 dollars (900 - 1000 euros)."),
     ("Mr. O'Neill's well-known e-mail: a/b, x=y!", "Mr O'Neill's well-known e-mail: a / b; x = y!")],
    [("&quot;Tom &amp; Mary&quot; &lt;3 &amp;lt; <skipped>end", "\"Tom & Mary\" <3 < end"),
     ("..., wait... what?!", "... wait ... what ? !"), ("a.b.c 1.2.3 v2.0-rc1 1-2-3", "a . b . c 1.2.3 v2.0 -rc1 1 - 2 - 3")],
    [("Où est\u202f? L\u2019été\u00a0: 20\u00a0000\u202f€.", "Où est ? L\u2019été : 20 000 €."),
     ("東京は、とても大きい。", "東京は とても大きい。"), ("🙂 ok.", "🙂 ok ."), ("é.é,é", "é. é, é")],
    [("no match here at all", "completely different words")],
    [("one word", "one word more"), ("", "nothing came")],
    [("to be", "to be")],
    [("a b c d e f g", "a b x d e y g h i j k l m n"), ("x", "y")],
    [("short", "this reference is much longer than that"), ("it is a guide to action", "it is the guide to act")],
    [("{x}~[y]`z`^_|\\ #tag @me 5% & 'q'", "{ x } ~ [ y ] ` z ` ^ _ | \\ # tag @ me 5 % & ' q '")],
    [("trailing blanks  \t ", "trailing  blanks"), (" leading", "leading \u3000"), ("a\x1cb\x85c", "a b c")],
]
pairs = [("va !", "va !", 2), ("j'ai perdu .", "j'ai perdu .", 2), ("il est riche .", "il est calme .", 2), ("je suis chez moi .", "je suis chez moi .", 4),
         ("il a", "il a couru vite .", 2), ("a a a a", "a b", 3), ("un", "deux", 2), ("un", "un", 3), ("a b c d", "b c d a", 2), ("x y", "y x", 4)]

print(json.dumps({
    'corpora': [{'translations': [t for t, _ in c], 'references': [r for _, r in c],
                 'score': sacrebleu.corpus_bleu([t for t, _ in c], [[r for _, r in c]]).score} for c in corpora],
    'sentences': [{'translation': t, 'reference': r, 'k': k, 'score': bleu(t, r, k)} for t, r, k in pairs]},
    ensure_ascii=False, indent=1))

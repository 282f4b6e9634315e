"""bpe_learned.json: byte pairs that PyPI's tokenizers (Hugging Face's, BpeTrainer) learns of texts with many equally frequent pairs.

    python make_bpe_learned.py >bpe_learned.json

min_frequency 2, as here.  The alphabet is GPT-2's 256 characters for bytes, whose numbers are in both by Unicode's."""
import json
import random

from tokenizers import Tokenizer, models, pre_tokenizers, trainers


def learn(text, n):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=n, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    merges = json.loads(tokenizer.to_str())['model']['merges']
    return {'text': text, 'tokens': n, 'merges': [' '.join(m) if isinstance(m, list) else m for m in merges]}


pick = random.Random(7)
words = ['le', 'la', "l'ami", "j'ai", "qu'il", 'na\u00efve', 'caf\u00e9', '\u0153uvre', 'lower', 'lowest', 'new', 'newest', 'wide', '12', '1984', '3.14',
         '東京', '東', '\U0001F642', 'мир', 'Мир', 'aaaa', 'aaaaaaa', 'abababab', '...', '?!', '--', "they'll", "it's"]
prose = ' '.join(pick.choice(words) for _ in range(600))
runs = ' '.join(''.join(pick.choice('ab') for _ in range(pick.randint(1, 12))) for _ in range(200))
blanks = ''.join(pick.choice([' ', '  ', '\n', '\n\n', '\t', 'x', 'yx', 'x y']) for _ in range(300))
same = ' '.join('a' * pick.randint(1, 40) for _ in range(80))
print('[' + ',\n '.join(json.dumps(learn(text, n), ensure_ascii=True, separators=(',', ':'))
                        for text, n in [(prose, 400), (runs, 600), (blanks, 300), (same, 300), (prose + runs + blanks, 700)]) + ']')

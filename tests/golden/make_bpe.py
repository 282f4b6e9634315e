"""bpe.json: GPT-2's tokens of awkward text, by PyPI's tiktoken (encode_ordinary of its encoding gpt2).

    python make_bpe.py vocab.bpe encoder.json >bpe.json"""
import json
import random
import sys

import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks

PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # tiktoken_ext/openai_public.py
encoding = tiktoken.Encoding('gpt2', pat_str=PATTERN, mergeable_ranks=data_gym_to_mergeable_bpe_ranks(sys.argv[1], sys.argv[2]),
                             special_tokens={'<|endoftext|>': 50256}, explicit_n_vocab=50257)
parts = ["Hello, world! I'm it's we'll they'd you've 're 'S don't DON'T", '  leading   spaces \n\n\n  and\ttabs\t\t x \r\n\r\n',
         '1234567 3.14 \u00bd \u2167 \u0663 12abc34', 'na\u00efve caf\u00e9 \u0152uvre \u00c0\u00c9', '東京は大きい。日本語',
         '\U0001F642\U0001F643\U0001F469\u200d\U0001F469\u200d\U0001F467 \U0001F3F3\ufe0f\u200d\U0001F308',
         'a\u00a0b\u2009c\u202fd\u3000e\u180ef\u200bg\u0085h\u2028i\x1cj', '\u0300\u0301a\u0308', '<|endoftext|> <|endoftext|>',
         'Здравствуйте мир العربية עברית हिन्दी ไทย', '\x01\x7f\x80 ctrl', "'''s ''s 'd'll", 'a' * 220, ' ' * 60 + 'x',
         '_under_score-and-dash--em\u2014dash\u2026', '\U0010FFFF\uE000\uFFFD', 'trailing   ']
pick = random.Random(1)
pool = ''.join(parts) + "abc   \n'''.,12\u00e9"
mixed = [''.join(pick.choice(pool) for _ in range(40)) for _ in range(40)]
print(json.dumps([{'text': text, 'tokens': encoding.encode_ordinary(text)} for text in parts + mixed], ensure_ascii=True,
                 separators=(',', ':')).replace('},{', '},\n{'))

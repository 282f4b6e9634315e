"""pairs.json: what the textbook makes of the beginning of fra-eng at three lengths.

    python make_pairs.py fra.txt >pairs.json

The textbook: Zhang, Lipton, Li and Smola, Dive into Deep Learning (d2l 0.17), read_data_nmt, preprocess_nmt, tokenize_nmt, Vocab,
truncate_pad, build_array_nmt and load_data_nmt, whose text these functions are.  It
replaces two spaces, U+202F and U+00A0; with U+2009 and without U+200B, as here, one word of the first 600 pairs is spelled otherwise
(`recule`, which has a U+2009 at its end there), and the numbers are the same."""
import collections
import json
import sys


def preprocess_nmt(text, more):
    def no_space(char, prev_char):
        return char in set(',.!?') and prev_char != ' '

    text = text.replace('\u202f', ' ').replace('\xa0', ' ').lower()
    if more:
        text = text.replace('\u2009', ' ').replace('\u200b', '')
    out = [' ' + char if i > 0 and no_space(char, text[i - 1]) else char for i, char in enumerate(text)]
    return ''.join(out)


def tokenize_nmt(text, num_examples):
    source, target = [], []
    for i, line in enumerate(text.split('\n')):
        if i >= num_examples:  # the textbook's `i > num_examples` takes one more
            break
        parts = line.split('\t')
        if len(parts) == 2:
            source.append(parts[0].split(' '))
            target.append(parts[1].split(' '))
    return source, target


class Vocab:
    def __init__(self, tokens, min_freq, reserved_tokens):
        counter = collections.Counter(token for line in tokens for token in line)
        freqs = sorted(counter.items(), key=lambda x: x[1], reverse=True)
        self.idx_to_token = ['<unk>'] + reserved_tokens
        self.token_to_idx = {token: idx for idx, token in enumerate(self.idx_to_token)}
        for token, freq in freqs:
            if freq < min_freq:
                break
            if token not in self.token_to_idx:
                self.idx_to_token.append(token)
                self.token_to_idx[token] = len(self.idx_to_token) - 1

    def __getitem__(self, tokens):
        if not isinstance(tokens, list):
            return self.token_to_idx.get(tokens, 0)
        return [self[token] for token in tokens]


def truncate_pad(line, num_steps, padding_token):
    return line[:num_steps] if len(line) > num_steps else line + [padding_token] * (num_steps - len(line))


def build_array_nmt(lines, vocab, num_steps):
    lines = [vocab[line] + [vocab['<eos>']] for line in lines]
    array = [truncate_pad(line, num_steps, vocab['<pad>']) for line in lines]
    return array, [sum(token != vocab['<pad>'] for token in line) for line in array]


def fnv_bytes(data):
    """FNV-1a, of 64 bits."""
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return f'{h:016x}'


def fnv(rows):
    """Of all numbers as 32 bits, little end first."""
    return fnv_bytes(b''.join(int(v).to_bytes(4, 'little') for row in rows for v in row))


ORDER = [3, 0, 1, 2]  # the textbook begins with <unk> <pad> <bos> <eos>, we with <pad> <bos> <eos> <unk>


def side(lines, steps):
    vocab = Vocab(lines, 2, ['<pad>', '<bos>', '<eos>'])
    array, length = build_array_nmt(lines, vocab, steps)
    return vocab.idx_to_token[4:], [[ORDER[v] if v < 4 else v for v in row] for row in array], length


def case(text, examples, steps, more=True):
    source, target = tokenize_nmt(preprocess_nmt(text, more), examples)
    source_words, x, x_len = side(source, steps)
    target_words, y, y_len = side(target, steps)
    # What stands behind a target's last word is masked, so nobody reads what the decoder is given there.
    y_in = [([1] + row[:-1])[:n] + [0] * (steps - n) for row, n in zip(y, y_len)]
    return {'examples': examples, 'steps': steps, 'pairs': len(x), 'n_words': [len(source_words) + 4, len(target_words) + 4],
            'first_words': [source_words[:8], target_words[:8]], 'words': [fnv_text(source_words), fnv_text(target_words)],
            'fields': {'source': fnv(x), 'source_len': fnv([x_len]), 'target_in': fnv(y_in),
                                              'target': fnv(y)}}


def fnv_text(words):
    return fnv_bytes('\n'.join(words).encode())


text = open(sys.argv[1], encoding='utf-8', newline='\n').read()
cases = [case(text, 600, 10), case(text, 600, 6), case(text, 3000, 12)]
assert cases[0]['fields'] == case(text, 600, 10, more=False)['fields']
print('[' + ',\n '.join(json.dumps(c, ensure_ascii=False) for c in cases) + ']')

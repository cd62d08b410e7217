#!/usr/bin/env python3
"""Learns model/vocab.txt, a WordPiece vocabulary, from the texts of headlines_train.csv.

The words are those of BERT's normalizer and pre-tokenizer with do_lower_case true, strip_accents false and
tokenize_chinese_chars true: lower-cased, Hangul kept composed (stripping accents would decompose every syllable into
Jamo). Pieces come from byte-pair merges: the most frequent adjacent pair first, ties in code point order, so two runs
write the same file. The held-out headlines are never read. Needs Python 3.8 and nothing else.

    python3 make_vocab.py [--size N] [--train FILE] [--out FILE]
"""

import argparse
import collections
import csv
import os
import unicodedata

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
HERE = os.path.dirname(os.path.abspath(__file__))

# The ideograph blocks that BERT isolates; Hangul and Kana are not among them.
CJK_BLOCKS = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
              (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))


def is_punctuation(char):
    """BERT counts every ASCII symbol as punctuation, also those Unicode files elsewhere, such as $ and ^."""
    code = ord(char)
    if 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126:
        return True
    return unicodedata.category(char).startswith("P")


def is_isolated(char):
    return is_punctuation(char) or any(first <= ord(char) <= last for first, last in CJK_BLOCKS)


def words(text):
    """Splits one text as BERT does before WordPiece."""
    out = []
    for char in text:
        if char in "\t\n\r" or unicodedata.category(char) == "Zs":
            out.append(" ")
        elif char in "\0\ufffd" or unicodedata.category(char).startswith("C"):
            continue
        elif is_isolated(char):
            out.append(" " + char + " ")
        else:
            out.append(char)
    return "".join(out).lower().split()


def joined(left, right):
    return left + right[2:]


def merge_word(pieces, left, right):
    out, i = [], 0
    while i < len(pieces):
        if i + 1 < len(pieces) and pieces[i] == left and pieces[i + 1] == right:
            out.append(joined(left, right))
            i += 2
        else:
            out.append(pieces[i])
            i += 1
    return out


def count_pairs(pairs, pieces, times):
    for pair in zip(pieces, pieces[1:]):
        pairs[pair] += times


def learn_merges(counts, room, min_count, known):
    """Returns at most `room` new pieces; stops early when no pair occurs `min_count` times."""
    spelled = {word: [word[0]] + ["##" + char for char in word[1:]] for word in counts}
    pairs = collections.Counter()
    for word, pieces in spelled.items():
        count_pairs(pairs, pieces, counts[word])
    learned = []
    while pairs and len(learned) < room:
        count = max(pairs.values())
        if count < min_count:
            break
        left, right = min(pair for pair, seen in pairs.items() if seen == count)
        for word, pieces in spelled.items():
            if left in pieces and right in pieces:
                count_pairs(pairs, pieces, -counts[word])
                spelled[word] = merge_word(pieces, left, right)
                count_pairs(pairs, spelled[word], counts[word])
        piece = joined(left, right)
        if piece not in known:
            known.add(piece)
            learned.append(piece)
    return learned


def main():
    parser = argparse.ArgumentParser(description="Learn the demo's WordPiece vocabulary.")
    parser.add_argument("--size", type=int, default=4000, help="entries at most, special tokens included")
    parser.add_argument("--min-count", type=int, default=2, help="a pair seen less often is not merged")
    parser.add_argument("--train", default=os.path.join(HERE, "headlines_train.csv"))
    parser.add_argument("--out", default=os.path.join(HERE, "model", "vocab.txt"))
    args = parser.parse_args()

    with open(args.train, encoding="utf-8", newline="") as file:
        counts = collections.Counter(word for row in csv.DictReader(file) for word in words(row["text"]))
    # Every character both ways, so that a new word made of known characters is spelled and not [UNK].
    letters = sorted({char for word in counts for char in word} | set("abcdefghijklmnopqrstuvwxyz0123456789"))
    vocab = SPECIAL_TOKENS + letters + ["##" + char for char in letters if not is_isolated(char)]
    vocab += learn_merges(counts, args.size - len(vocab), args.min_count, set(vocab))
    with open(args.out, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(piece + "\n" for piece in vocab)
    print(f"{args.out}: {len(vocab)} entries, {len(letters)} characters, {len(counts)} distinct words")


if __name__ == "__main__":
    main()

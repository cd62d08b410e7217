#!/usr/bin/env python3
"""Writes unicode_tables.c: character classes as the `tokenizers` library has them.

The library takes its classes from crates of several Unicode versions (8 to 17), so no one version of a Unicode library
agrees with it. Each class is therefore read off the library itself, one character at a time. Decompositions come from
utf8proc at run time; the tables name what Unicode gained after the library's version, found by comparing with a newer
database.

    python3 -m venv v && v/bin/pip install tokenizers unicodedata2 && v/bin/python unicode_tables.py
"""
import pathlib

import tokenizers
import unicodedata2
from tokenizers import normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def bert(**parts):
    flags = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**{**flags, **parts}).normalize_str


def removed_by(normalize):
    return [c for c in CODES if normalize(f"a{chr(c)}b") == "ab"]


def splits_into(pre_tokenizer, count):
    return [c for c in CODES if len(pre_tokenizer.pre_tokenize_str(f"a{chr(c)}b")) == count]


def moves_before_class_240(c):
    """Whether the library knows that `c` has a combining class: U+0345 has the highest, 240."""
    if c == 0x345:
        return True
    text = normalizers.NFD().normalize_str("a\u0345" + chr(c))
    return text[-1] == "\u0345" and text[1] != "\u0345"


def later_decompositions():
    nfkd = normalizers.NFKD().normalize_str
    return [c for c in CODES if unicodedata2.normalize("NFKD", chr(c)) != nfkd(chr(c))]


def later_classes():
    return [c for c in CODES
            if unicodedata2.combining(chr(c)) and not unicodedata2.decomposition(chr(c))
            and not moves_before_class_240(c)]


def later_lowercase():
    """Mappings that a Unicode 14 database (Python 3.11's) lacks."""
    lower = normalizers.Lowercase().normalize_str
    pairs = [(c, lower(chr(c))) for c in CODES if c > 0x7F and lower(chr(c)) != chr(c)]
    return [(c, ord(text)) for c, text in pairs if c in LATER_CAPITALS]


# Capitals of Unicode 16 and 17; older ones are in every utf8proc that tuff can be built with.
LATER_CAPITALS = {0x1C89, 0xA7CB, 0xA7CC, 0xA7CE, 0xA7D2, 0xA7D4, 0xA7DA, 0xA7DC, *range(0x10D50, 0x10D66),
                  *range(0x16EA0, 0x16EB9)}


def ranges(codes):
    result = []
    for c in codes:
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def rows(items, per_row):
    cells = ["{0x%04X, 0x%04X}," % tuple(item) for item in items]
    return "\n".join("    " + " ".join(cells[i:i + per_row]) for i in range(0, len(cells), per_row))


def table(name, comment, items):
    return (f"/* {comment} */\nconst tuff__code_range tuff__{name}_ranges[] = {{\n{rows(items, 5)}\n}};\n"
            f"const size_t tuff__{name}_range_count = {len(items)};\n")


def main():
    other = [c for c in removed_by(bert(clean_text=True)) if c != 0xFFFD]
    parts = [
        table("other", "General category C, without what is unassigned.", ranges(other)),
        table("nonspacing_mark", "General category Mn.", ranges(removed_by(bert(strip_accents=True)))),
        table("mark", "General category M.", ranges(removed_by(normalizers.StripAccents().normalize_str))),
        table("punctuation", "ASCII punctuation and general category P.",
              ranges(splits_into(pre_tokenizers.Punctuation(), 3))),
        table("word", "\\\\w of a regular expression.".replace("\\\\", "\\"),
              ranges(splits_into(pre_tokenizers.Whitespace(), 1))),
        table("later_decomposition", "Characters whose decomposition the library does not know.",
              ranges(later_decompositions())),
        table("later_class", "Characters whose combining class the library does not know.", ranges(later_classes())),
    ]
    pairs = later_lowercase()
    parts.append("/* Capitals newer than some utf8proc, and their small letters. */\n"
                 f"const tuff__code_range tuff__later_lowercase[] = {{\n{rows(pairs, 5)}\n}};\n"
                 f"const size_t tuff__later_lowercase_count = {len(pairs)};\n")
    path = pathlib.Path(__file__).with_name("unicode_tables.c")
    path.write_text(f"/* unicode_tables.c: made by unicode_tables.py from tokenizers {tokenizers.__version__} and Unicode "
                    f"{unicodedata2.unidata_version}; do not edit. */\n"
                    "#include \"unicode_tables.h\"\n\n/* clang-format off */\n" + "\n".join(parts))


main()

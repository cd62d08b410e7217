#!/usr/bin/env python3
"""Writes the seeds in corpus/vocabulary and corpus/tokenizer_json: files and texts with the byte 0x1D between them. Run it
in this folder; needs nothing but Python."""
import json
import pathlib

CORPUS = pathlib.Path(__file__).parent / "corpus"


def write(folder, seeds):
    (CORPUS / folder).mkdir(parents=True, exist_ok=True)
    for name, parts in seeds.items():
        data = b"\x1d".join(p if isinstance(p, bytes) else p.encode() if isinstance(p, str) else json.dumps(p).encode()
                            for p in parts)
        (CORPUS / folder / name).write_bytes(data)


VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\na\n##a\n한\n##국\n漢\n"
TEXT = "The cats [MASK] Éa 한국 漢字\u0301 <x> aaaa"
FLAGS = {"single_word": False, "lstrip": True, "rstrip": True, "normalized": False, "special": True}

write("vocabulary", {
    "plain": [VOCAB, "", "", "", TEXT, "the a"],
    "cased": [VOCAB, {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False,
                      "model_max_length": 1e30, "padding_side": "left", "truncation_side": "left"}, "", "", TEXT, "x"],
    "decoder": [VOCAB, {"added_tokens_decoder": {"3": {"content": "<x>", **FLAGS}, "9": {"content": "the", **FLAGS}},
                        "extra_special_tokens": {"image_token": "<y>"}}, "", "", TEXT, ""],
    "old": [VOCAB, {"max_len": 8, "mask_token": {"__type": "AddedToken", "content": "<x>", **FLAGS}},
            {"sep_token": "the", "additional_special_tokens": ["<x>", {"content": "a", **FLAGS}]}, {"<x>": 13, "cat": 2},
            "\x10" + TEXT, "a"],
    "spaces": ["[UNK]  \r\n\n a\u3000\na\na\n", "", "", "", "a\0b", "\u200b"],
    "no_unknown": ["a\n", {"unk_token": "a", "cls_token": "a", "sep_token": "a"}, "", "", "b", "c"],
    "invalid": [b"a\n\xff\n", "", "", "", "a", "a"],
    "invalid_text": [VOCAB, "", "", "", b"a\xed\xa0\x80", "a"],
    "null_token": [VOCAB, {"sep_token": None}, "", "", "a", "a"],
    "null_in_map": [VOCAB, "", {"sep_token": None}, "", "a", "a"],
    "other_class": [VOCAB, {"tokenizer_class": "BertJapaneseTokenizer"}, "", "", "a", "a"],
    "marks": [VOCAB, "", "", "", "~a\u0334\u0345\u0301\u0323\u0344\u0f73\u0f71\u1e69\u0130", "\u1112\u1161\u11ab"],
    "long_word": [VOCAB, "", "", "", "a" * 101, "a" * 100],
})

MODEL = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
         "vocab": {token: i for i, token in enumerate(VOCAB.split())}}
BERT = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
        "lowercase": True}
ADDED = [{"id": 4, "content": "[MASK]", **FLAGS}, {"id": 20, "content": "Éa", **FLAGS, "normalized": True},
         {"id": 21, "content": " ", **FLAGS, "single_word": True}]
PIECES = [{"SpecialToken": {"id": "x", "type_id": 2}}, {"Sequence": {"id": "A", "type_id": 1}}]
TEMPLATE = {"type": "TemplateProcessing", "single": PIECES, "pair": PIECES + [{"Sequence": {"id": "B", "type_id": 3}}],
            "special_tokens": {"x": {"id": "x", "ids": [2, 3], "tokens": ["[CLS]", "[SEP]"]}}}


def tokenizer(**parts):
    return {"version": "1.0", "added_tokens": ADDED, "normalizer": BERT, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": TEMPLATE, "model": MODEL, **parts}


def sequence(key, kinds):
    return {"type": "Sequence", key: [{"type": kind} for kind in kinds]}


def json_seeds(seeds):
    """(tokenizer.json, tokenizer_config.json, text, pair) with the three other files empty between them."""
    return {name: [*parts[:2], "", "", "", *parts[2:]] for name, parts in seeds.items()}


write("tokenizer_json", json_seeds({
    "bert": [tokenizer(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}), "", TEXT, "a"],
    "template": [tokenizer(), "", TEXT, "the"],
    "bare": [{"model": MODEL}, "", TEXT, "a"],
    "decomposed": [tokenizer(normalizer=sequence("normalizers", ["NFD", "Lowercase", "StripAccents", "NFC"]),
                             pre_tokenizer=sequence("pretokenizers", ["WhitespaceSplit", "Punctuation"])), "", TEXT, "."],
    "compatible": [tokenizer(normalizer=sequence("normalizers", ["NFKD", "NFKC"]), pre_tokenizer={"type": "Whitespace"}),
                   "", "\ufdfa½ｶﾞ" + TEXT, "a"],
    "strip": [tokenizer(normalizer={"type": "Strip", "strip_left": True, "strip_right": True}, pre_tokenizer=None), "",
              "  " + TEXT + " ", " "],
    "sides": [tokenizer(truncation={"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
                        padding={"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0,
                                 "pad_type_id": 1, "pad_token": "[PAD]"}), "", "\x47" + TEXT, "the cat"],
    "config": [tokenizer(), {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False, "mask_token": "<x>"}, TEXT,
               "a"],
    "bpe": [{"model": {"type": "BPE", "vocab": {}, "merges": []}}, "", "a", "a"],
    "same_ids": [tokenizer(model={**MODEL, "vocab": {"[UNK]": 7, "a": 7, "##a": 2147483646}}), "", "aaa", "a"],
    "cut": ['{"model": {"type": "WordPiece", "vocab": {"a": 1', "", "a", "a"],
    "no_special": [tokenizer(post_processor={**TEMPLATE, "special_tokens": {}}), "", "a", "a"],
}))

write("tokenizer_json", {
    "old": [tokenizer(), "", {"sep_token": "the", "additional_special_tokens": ["<x>", {"content": "a", **FLAGS}]},
            {"<x>": 13, "cat": 2, "<z>": 20}, {"model_type": "bert"}, TEXT + "<z>", "a"],
    "map_alone": [tokenizer(added_tokens=[]), "", {"mask_token": {"content": "<x>", **FLAGS}}, "", "", TEXT, "a"],
    "map_of_numbers": [tokenizer(), "", {"mask_token": 7}, "", "", "a", "a"],
    "map_list": [tokenizer(), "", "[]", "", "", "a", "a"],
    "added_alone": [tokenizer(), "", "", {"<x>": 2147483647, "<y>": -1}, "", "<x><y>", "a"],
    "added_strings": [tokenizer(), "", "", {"<x>": "13"}, "", "a", "a"],
    "class_of_model": [tokenizer(normalizer={**BERT, "lowercase": False}), "", "", "", {"tokenizer_class": "ElectraTokenizer"},
                       TEXT, "a"],
    "other_model": [tokenizer(), "", "", "", {"model_type": "roberta", "tokenizer_class": None}, TEXT, "a"],
    "model_of_numbers": [tokenizer(), "", "", "", {"model_type": 7}, "a", "a"],
})

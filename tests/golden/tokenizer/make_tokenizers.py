#!/usr/bin/env python3
"""Writes the tokenizer folders here, and what the reference library makes of texts with them.

    pip install tokenizers transformers
    python3 make_tokenizers.py [SHARED_DATA]

FOLDER/cases.jsonl   a case a line: text, text_pair, options, and the encoding
unicode.txt          a hash of what each normalizer and pre-tokenizer does to every character
shared.txt           a hash of the encodings of whole files of SHARED_DATA, with its own tokenizers; kept where
                     SHARED_DATA is not given
"""
import json
import os
import pathlib
import random
import shutil
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402
from transformers import AutoTokenizer, BertTokenizerFast, PreTrainedTokenizerFast  # noqa: E402

HERE = pathlib.Path(__file__).parent
RANDOM = random.Random(20240501)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def vocabulary():
    tokens = list(SPECIAL)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    words = ("the cat sat on mat un able run ing ed ly er est hello world token ize ization text don t co op e i ss "
             "안녕 하세요 한국 어 토큰 뉴스 경제 정치 오늘 은 는 이 가 을 를").split()
    pieces = list(letters) + list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~…“”‘’·—") + words + list("漢字日本語野口里佳ñéüßøåçİıſﬁ")
    pieces += list("가나다라마바사각한글안녕") + [chr(c) for c in range(0x1100, 0x1113)]
    pieces += [chr(c) for c in range(0x1161, 0x1176)] + [chr(c) for c in range(0x11A8, 0x11C3)]
    pieces += list("αβγσςωабвгдяאבגابت०१ก็ñ")
    for piece in pieces:
        for token in (piece, "##" + piece):
            if token not in tokens:
                tokens.append(token)
    return tokens


VOCABULARY = vocabulary()


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def folder(name):
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def write_vocabulary(path):
    (path / "vocab.txt").write_text("".join(token + "\n" for token in VOCABULARY), encoding="utf-8")


# -- folders ------------------------------------------------------------------------------------------------------------

def make_vocab_alone():
    path = folder("vocab_alone")
    write_vocabulary(path)
    return path, BertTokenizerFast.from_pretrained(path)


def make_cased_config():
    """A vocabulary with a config: cased, accents off all the same, and both sides left."""
    path = folder("cased_config")
    write_vocabulary(path)
    write_json(path / "tokenizer_config.json", {
        "tokenizer_class": "ElectraTokenizer", "do_lower_case": False, "strip_accents": True,
        "tokenize_chinese_chars": False, "model_max_length": 12, "padding_side": "left", "truncation_side": "left",
    })
    return path, BertTokenizerFast.from_pretrained(path)


def make_old_vocab():
    """As folders of before 2023: special tokens and added tokens in files of their own."""
    path = folder("old_vocab")
    write_vocabulary(path)
    write_json(path / "tokenizer_config.json", {"do_lower_case": True, "max_len": 32, "mask_token": "[GONE]"})
    write_json(path / "special_tokens_map.json", {
        "mask_token": {"content": "<mask>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False},
        "additional_special_tokens": ["<a>", "<b>"]})
    write_json(path / "added_tokens.json", {"Newton": len(VOCABULARY) + 1, "thecat": len(VOCABULARY), "cat": 7})
    return path, BertTokenizerFast.from_pretrained(path)


def make_bert_json():
    """What save_pretrained writes, with extra tokens."""
    path = folder("bert_json")
    bert = BertTokenizerFast(vocab={token: i for i, token in enumerate(VOCABULARY)}, model_max_length=64)
    bert.add_tokens([AddedToken("<ent>", normalized=False, rstrip=True), AddedToken("Mytok", single_word=True)])
    bert.save_pretrained(path)
    return path, BertTokenizerFast.from_pretrained(path)


def make_parts(name, normalizer, pre_tokenizer, post_processor, tokens, max_chars):
    path = folder(name)
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(VOCABULARY)}, unk_token="[UNK]",
                                           max_input_chars_per_word=max_chars))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.post_processor = post_processor
    tokenizer.add_tokens(tokens)
    tokenizer.save(str(path / "tokenizer.json"), pretty=False)
    return path, PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")


def make_parts_of_all_kinds():
    special = [("[CLS]", 2), ("[SEP]", 3), ("end", 9)]
    yield make_parts(
        "sequence_json",
        normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase(), normalizers.StripAccents(),
                              normalizers.Strip()]),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]),
        processors.TemplateProcessing(single="[CLS]:2 $A:1 end [SEP]:3", pair="$B:4 [SEP] $A:5 [SEP]:6 $B:7",
                                      special_tokens=special),
        [AddedToken("[MASK]", lstrip=True, special=True), AddedToken("Éa", normalized=True),
         AddedToken("the", normalized=False, rstrip=True), AddedToken(" mat ", normalized=False)], 20)
    yield make_parts("composed_json", normalizers.NFKC(), pre_tokenizers.Whitespace(),
                     processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)),
                     [AddedToken("안녕", normalized=True, lstrip=True, rstrip=True),
                      AddedToken("cat", normalized=True, single_word=True)], 100)
    yield make_parts("bare_json", None, None, None, [], 100)


def make_config_json():
    """A cased tokenizer.json and no tokenizer_config.json: the model's config names BERT's class, whose flags count.
    Of two added tokens with one id, tokenizer.json's stays."""
    path = folder("config_json")
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(VOCABULARY)}, unk_token="[UNK]",
                                           max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_tokens(["hell"])
    tokenizer.save(str(path / "tokenizer.json"), pretty=False)
    write_json(path / "config.json", {"model_type": "bert"})
    write_json(path / "special_tokens_map.json", {"mask_token": "<mask>"})
    write_json(path / "added_tokens.json", {"thecat": len(VOCABULARY) + 1, "world": len(VOCABULARY)})
    return path, AutoTokenizer.from_pretrained(path)


# -- cases --------------------------------------------------------------------------------------------------------------

MARKS = list("\u0301\u0308\u0327\u0323\u0345\u0334\u05B0\u0651\u0E38\u0F71\u0F74\u3099\U0001D165\U00011347\u1715")
BASES = list("aeiouAEIÅñéÀ가각한漢かガ") + ["\u1E69", "\u0344", "\u0958", "\u0F73", "\u1100", "\u1161", "\u11A8", "\uFB2C",
                                          "\uFDFA", "\u00BD", "\u2126", "\U0001D15E"]
CONTROLS = list("\t\n\r\x0b\x0c\x01\x7f\x85\xa0\xad") + ["\u200b", "\u200d", "\u2028", "\u3000", "\ufeff", "\ufffd",
                                                        "\ue000", "\u0600"]
WORDS = ("the cat sat on mat hello world running unable tokenization 안녕하세요 한국어 뉴스 오늘은 경제 don't co-op e.g. "
         "$10 [MASK] [mask] [CLS] <mask> <ent> Mytok mytok thecat Newton Éa Eacat").split()
TEXTS = ["", " ", "\t \n", "a" * 100, "a" * 101, "가" * 100, "가" * 101, "é" * 60, "İstanbul", "ΣΑΣ", "straße ﬁ",
         "👨‍👩‍👧‍👦🇰🇷", "مرحبا بكم", "שלום", "हिन्दी", "ไทย", "日本語野口里佳", "𠀀㐀豈", "①② ½ ａｂｃ ｶﾞ", "ㅋㅋㅋ", "…“q”—·",
         "[MASK][SEP]", "a[MASK]b", "x [MASK]  y", "the mat the  cat", "catcat cat", "안녕 안녕하세요", "hello\ufffdworld"]


def random_text():
    kinds = [lambda: RANDOM.choice(WORDS), lambda: RANDOM.choice(BASES), lambda: RANDOM.choice(MARKS),
             lambda: RANDOM.choice(BASES) + "".join(RANDOM.choices(MARKS, k=RANDOM.randrange(4))),
             lambda: RANDOM.choice(CONTROLS), lambda: " ", lambda: RANDOM.choice("abcABC.,!?-_$^`~0123"),
             lambda: chr(RANDOM.choice([RANDOM.randrange(0x20, 0xD800), RANDOM.randrange(0xE000, 0x20000)]))]
    weights = [RANDOM.random() for _ in kinds]
    return "".join(RANDOM.choices(kinds, weights)[0]() for _ in range(RANDOM.choice([1, 2, 3, 5, 8, 13, 21])))


def random_options(pair):
    options = {}
    if RANDOM.random() < 0.3:
        options["add_special_tokens"] = False
    if RANDOM.random() < 0.6:
        strategies = ["longest_first", "only_first"] + (["only_second"] if pair else [])
        options["truncation"] = RANDOM.choice(strategies)
        options["max_length"] = RANDOM.choice([4, 5, 6, 7, 8, 11, 16])
    if RANDOM.random() < 0.3:
        options["padding"] = RANDOM.choice(["longest", "max_length"])
        if options["padding"] == "max_length":
            options["max_length"] = options.get("max_length", RANDOM.choice([3, 8, 20]))
        elif RANDOM.random() < 0.5 and "max_length" not in options:
            options["pad_to_multiple_of"] = 4
    return options


def encode(tokenizer, case):
    try:
        encoding = tokenizer(case["text"], case.get("text_pair"), return_offsets_mapping=True,
                             return_special_tokens_mask=True, return_token_type_ids=True, **case["options"])
    except Exception as error:  # noqa: BLE001: the library raises the bare class
        assert "Truncation error" in str(error), error
        return {"fails": True}
    return {key: encoding[key] for key in ("input_ids", "token_type_ids", "attention_mask", "special_tokens_mask",
                                           "offset_mapping")}


def write_cases(path, tokenizer):
    cases = [{"text": text, "options": {}} for text in TEXTS]
    for _ in range(120):
        case = {"text": random_text()}
        if RANDOM.random() < 0.5:
            case["text_pair"] = random_text()
        case["options"] = random_options("text_pair" in case)
        cases.append(case)
    lines = [json.dumps({**case, **encode(tokenizer, case)}, separators=(",", ":")) for case in cases]
    (path / "cases.jsonl").write_text("\n".join(lines) + "\n", encoding="ascii")
    print(path.name, len(lines), "cases")


# -- every character ----------------------------------------------------------------------------------------------------

def fnv(data, value=0xCBF29CE484222325):
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def write_unicode():
    flags = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    kinds = {"clean_text": normalizers.BertNormalizer(**{**flags, "clean_text": True}),
             "chinese": normalizers.BertNormalizer(**{**flags, "handle_chinese_chars": True}),
             "uncased": normalizers.BertNormalizer(), "lowercase": normalizers.Lowercase(),
             "strip_accents": normalizers.StripAccents(), "nfd": normalizers.NFD(), "nfc": normalizers.NFC(),
             "nfkd": normalizers.NFKD(), "nfkc": normalizers.NFKC()}
    lines = []
    for name, normalizer in kinds.items():
        lines += sweep(name, lambda text, n=normalizer: n.normalize_str(text))
    for name, splitter in {"bert": pre_tokenizers.BertPreTokenizer(), "whitespace": pre_tokenizers.Whitespace(),
                           "punctuation": pre_tokenizers.Punctuation(),
                           "whitespace_split": pre_tokenizers.WhitespaceSplit()}.items():
        lines += sweep(name, lambda text, s=splitter: " ".join(f"{b}-{e}" for _, (b, e) in s.pre_tokenize_str(text)))
    (HERE / "unicode.txt").write_text("".join(lines), encoding="ascii")


def sweep(name, apply):
    """A mark after the character tells whether its combining class is known; each result ends with a line end."""
    for first in [*range(0, 0x20000, 0x2000), *range(0x20000, 0x110000, 0x10000)]:
        last = first + (0x2000 if first < 0x20000 else 0x10000) - 1
        codes = [c for c in range(first, last + 1) if not 0xD800 <= c < 0xE000]
        text = "".join(apply("a\u0345" + chr(c) + "b") + "\n" for c in codes)
        yield f"{name} {first:x} {last:x} {fnv(text.encode()):016x}\n"


# -- files of the shared data -------------------------------------------------------------------------------------------

def write_shared(data):
    jobs = [("tokenizers/KcELECTRA-base", "ynat/dev.tsv"), ("tokenizers/KcELECTRA-base", "nsmc/test.tsv"),
            ("tokenizers/KcELECTRA-base", "kor-sts/sts-dev.tsv"), ("tokenizers/bert-base-uncased", "ynat/dev.tsv"),
            ("tokenizers/bert-base-uncased", "text/wikitext2-valid.txt"),
            ("tokenizers/bert-base-uncased", "ko-en/korean-english-park.dev.ko"),
            ("tokenizers/bert-base-uncased", "text/tinyshakespeare.txt")]
    lines = []
    for name, file in jobs:
        tokenizer = BertTokenizerFast.from_pretrained(data / name)
        texts = (data / file).read_bytes().decode().split("\n")
        encodings = tokenizer(texts, return_offsets_mapping=True)
        value = 0xCBF29CE484222325
        for ids, offsets in zip(encodings["input_ids"], encodings["offset_mapping"]):
            row = " ".join(f"{i},{b},{e}" for i, (b, e) in zip(ids, offsets))
            value = fnv((row + "\n").encode(), value)
        lines.append(f"{name} {file} {len(texts)} {sum(map(len, encodings['input_ids']))} {value:016x}\n")
    (HERE / "shared.txt").write_text("".join(lines), encoding="ascii")


def main():
    for path, tokenizer in [make_vocab_alone(), make_cased_config(), make_old_vocab(), make_bert_json(),
                            *make_parts_of_all_kinds(), make_config_json()]:
        write_cases(path, tokenizer)
    write_unicode()
    if len(sys.argv) > 1:
        write_shared(pathlib.Path(sys.argv[1]))


main()

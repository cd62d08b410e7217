#!/usr/bin/env python3
"""Writes the seeds in corpus/json, corpus/safetensors, corpus/checkpoint, corpus/pooling and corpus/dataset: one small file per rule of each format, kept or
broken. Run it in this folder; needs nothing but Python."""
import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"


def write(folder, files):
    (CORPUS / folder).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (CORPUS / folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BYTES = bytes(range(64))

write("json", {
    "object": '{"a": 1, "b": "gelu", "c": [true, false, null], "d": {"e": -1.5e-12}}',
    "numbers": "[0, -0, 1e30, 9007199254740992, 9007199254740993, 0.1, 1E+2, 1e-400]",
    "infinite": "[1e999, -1e999]",
    "escapes": r'["\"\\\/\b\f\n\r\t\u00e9\ud55c\ud83d\ude00"]',
    "utf8": '{"이름": "값 😀"}',
    "duplicate_keys": '{"a": 1, "a": 2}',
    "empty": "",
    "byte_order_mark": b"\xef\xbb\xbf{}",
    "nul_escape": r'["\u0000"]',
    "lone_surrogate": r'["\ud800"]',
    "nul_byte": b"[\0]",
    "invalid_utf8": b'["\xff"]',
    "open_string": '"abc\\',
    "open_object": '{"a": [1, {"b": ',
    "trailing": "{} {}",
    "long_number": "1" * 100,
    "minus": "-",
    "deep": "[" * 99 + "]" * 99,
    "too_deep": "[" * 200,
    "control": '["a\tb"]',
    "not_a_number": "[NaN]",
})

write("safetensors", {
    "empty_object": safetensors({}),
    "every_float": safetensors({"f": tensor("F32", [2], 0, 8), "h": tensor("F16", [3], 8, 14),
                                "b": tensor("BF16", [1, 1], 14, 16), "d": tensor("F64", [], 16, 24)}, BYTES[:24]),
    "every_other": safetensors({"i": tensor("I64", [1], 0, 8), "j": tensor("I32", [1], 8, 12),
                                "k": tensor("I8", [2], 12, 14), "l": tensor("U8", [1], 14, 15),
                                "m": tensor("BOOL", [1], 15, 16)}, BYTES[:16]),
    "metadata": safetensors({"__metadata__": {"format": "pt"}, "a": tensor("F32", [1], 0, 4)}, BYTES[:4]),
    "unaligned": safetensors({"u": tensor("U8", [1], 0, 1), "f": tensor("F32", [2], 1, 9)}, BYTES[:9]),
    "no_elements": safetensors({"a": tensor("F32", [0, 3], 0, 0), "b": tensor("F16", [1], 0, 2)}, BYTES[:2]),
    "padded": safetensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   ', BYTES[:4]),
    "empty": b"",
    "short": b"\x08\0\0",
    "long_header": safetensors({}, length=1 << 40),
    "cut_header": safetensors({}, length=100),
    "cut_data": safetensors({"a": tensor("F32", [4], 0, 16)}, BYTES[:15]),
    "trailing": safetensors({"a": tensor("F32", [1], 0, 4)}, BYTES[:5]),
    "overlap": safetensors({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 2, 6)}, BYTES[:6]),
    "hole": safetensors({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, BYTES[:3]),
    "twice": safetensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                         b'"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', BYTES[:2]),
    "backwards": safetensors({"a": tensor("U8", [1], 1, 0)}, BYTES[:1]),
    "negative": safetensors({"a": tensor("U8", [-1], -1, 0)}, BYTES[:1]),
    "overflow": safetensors({"a": tensor("F32", [2 ** 32, 2 ** 32], 0, 4)}, BYTES[:4]),
    "overflow_bytes": safetensors({"a": tensor("F64", [2 ** 52, 1024], 0, 4)}, BYTES[:4]),
    "rank_9": safetensors({"a": tensor("U8", [1] * 9, 0, 1)}, BYTES[:1]),
    "unknown_dtype": safetensors({"a": tensor("C64", [1], 0, 8)}, BYTES[:8]),
    "missing_key": safetensors({"a": {"dtype": "F32", "shape": [1]}}, BYTES[:4]),
    "not_an_object": safetensors(b"[]"),
    "metadata_number": safetensors({"__metadata__": {"a": 1}}),
})

CSV, TSV, JSONL, JSON, LINES, TSV_RAW = b"\1", b"\2", b"\3", b"\4", b"\5", b"\6"


def parts(*files):
    return b"\x1d".join(f if isinstance(f, bytes) else f.encode() if isinstance(f, str) else json.dumps(f).encode()
                        for f in files)


def index(**weights):
    return {"metadata": {"total_size": 24}, "weight_map": {name: f"{number}.safetensors" for name, number in weights.items()}}


SHARD = safetensors({"c": tensor("F16", [3], 0, 6)}, BYTES[:6])

write("checkpoint", {
    "two": parts(index(a=1, b=2)),
    "three": parts(index(a=1, b=2, c=3), SHARD),
    "unlisted_tensor": parts(index(a=1)),
    "elsewhere": parts(index(a=2, b=1)),
    "missing_shard": parts(index(a=1, c=3)),
    "missing_tensor": parts(index(a=1, d=3), SHARD),
    "twice": parts(index(a=1, c=3), safetensors({"a": tensor("F32", [1], 0, 4), "c": tensor("F32", [], 4, 8)}, BYTES[:8])),
    "broken_shard": parts(index(a=1, c=3), SHARD[:-1]),
    "above": parts({"weight_map": {"a": "../1.safetensors"}}),
    "root": parts({"weight_map": {"a": "/etc/passwd"}}),
    "dots": parts({"weight_map": {"a": "..", "b": "."}}),
    "itself": parts({"weight_map": {"a": "model.safetensors.index.json"}}),
    "nameless": parts({"weight_map": {"a": "", "": "1.safetensors"}}),
    "same_key": parts('{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}'),
    "numbers": parts({"weight_map": {"a": 1}}),
    "list": parts({"weight_map": ["1.safetensors"]}),
    "empty_map": parts({"weight_map": {}}),
    "no_map": parts({}),
    "not_an_object": parts("[1]"),
    "cut": parts('{"weight_map": {"a": "1.sa'),
    "empty": b"",
})


def modules(*kinds):
    return [{"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
            for i, kind in enumerate(kinds)]


MINILM = modules("Transformer", "Pooling", "Normalize")
MEAN = {"word_embedding_dimension": 384, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}

write("pooling", {
    "minilm": parts(MINILM, MEAN, {"max_seq_length": 256, "do_lower_case": False}),
    "cls": parts(modules("Transformer", "Pooling"), {"pooling_mode_cls_token": True}),
    "named": parts(MINILM, {"pooling_mode": "max"}),
    "named_otherwise": parts(MINILM, {"pooling_mode": "weightedmean"}),
    "two_modes": parts(MINILM, {**MEAN, "pooling_mode_cls_token": True}),
    "unknown_mode": parts(MINILM, {"pooling_mode_mean_sqrt_len_tokens": True}),
    "no_mode": parts(MINILM, {}),
    "no_pooling_file": parts(MINILM),
    "pooling_list": parts(MINILM, "[true]"),
    "dense": parts(modules("Transformer", "Pooling", "Dense"), MEAN),
    "above": parts([{"type": "Pooling", "path": "../1_Pooling"}], MEAN),
    "root": parts([{"type": "Pooling", "path": "/etc"}], MEAN),
    "no_type": parts([{"path": "1_Pooling"}], MEAN),
    "numbers": parts([7, {"type": 7}], MEAN),
    "not_a_list": parts({}, MEAN),
    "no_modules": parts("", MEAN, {"max_seq_length": 128}),
    "lower": parts(MINILM, MEAN, {"do_lower_case": True}),
    "negative": parts(MINILM, MEAN, {"max_seq_length": -1}),
    "null_length": parts(MINILM, MEAN, {"max_seq_length": None}),
    "length_of_text": parts(MINILM, MEAN, {"max_seq_length": "512"}),
    "cut": parts('[{"type": "Pool'),
    "empty": b"",
})

write("dataset", {
    "csv": CSV + b"text,label\na,1\nb,2\n",
    "csv_quotes": CSV + b'a,b\r\n"x, ""y""\r\nz",2\r\n"3"4,5\r\n',
    "csv_empty_lines": CSV + b"\n\na,b\n\n,\n\r\n1,2",
    "csv_carriage_returns": CSV + b"a,b\r1,2\r",
    "csv_byte_order_mark": CSV + b"\xef\xbb\xbfa\n\xed\x95\x9c\n",
    "csv_ragged": CSV + b"a,b\n1\n",
    "csv_open_quote": CSV + b'a,b\n1,"2\n3',
    "csv_header_alone": CSV + b"a,b\n",
    "csv_same_names": CSV + b"a,a\n1,2\n",
    "csv_nul": CSV + b"a\n\0\n",
    "csv_invalid_utf8": CSV + b"a\n\xc3\x28\n",
    "tsv": TSV + b'a\tb\n1, 2\t"3\t4"\n',
    "tsv_lines": TSV + b'a\tb\n1\t"so\n2\tfine" so\n',
    "tsv_raw": TSV_RAW + b'a\tb\n1\t"so\n2\tfine" so\n',
    "jsonl": JSONL + b'{"a": "x", "b": 1}\n\n{"b": true, "c": null}\r\n',
    "jsonl_twice": JSONL + b'{"a": 1, "a": 2}',
    "jsonl_array": JSONL + b"[1]\n",
    "jsonl_numbers": JSONL + b'{"a": 12345678901234567890, "b": [1, 2]}\n{"b": 1e400, "a": "3", "a": -1.50}\n',
    "json": JSON + b'[{"a": "x"}, {"a": -0.5, "b": [1]}]',
    "json_object": JSON + b'{"a": 1}',
    "lines": LINES + b"one\n\ntwo\r\nthree",
    "lines_empty": LINES,
    "lines_auto": b"\0x\n",
})

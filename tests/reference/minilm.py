#!/usr/bin/env python3
"""Holds tuff against transformers on a real sentence-embedding model (all-MiniLM-L6-v2).

    minilm.py TUFF MODEL SENTENCES [--device D ...] [--count N]

TUFF is the built command, with words before it where it runs in a lab ("vendor-lab run swiftshader build/lab/tuff"; TMPDIR
is then a folder that both sides see), MODEL the model folder, SENTENCES a file with one sentence a line. Checks, for the first N lines
(default 1000): ids, type ids, masks and offsets equal to the reference tokenizer's; and for each device (default cpu) the
unit-length mean-pooled embeddings, cut where sentence_bert_config.json says, within 2e-6 of PyTorch's float32 in every
element, for the first N/20 lines on devices other than cpu. Exits non-zero on a difference. Needs torch and transformers; the
product does not.
"""
import argparse
import json
import shlex
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModel, AutoTokenizer

LIMIT = 2e-6


def embed(tokenizer, model, texts, max_length):
    rows = []
    for text in texts:
        batch = tokenizer([text], return_tensors="pt", truncation=True, max_length=max_length)
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        rows.append(torch.nn.functional.normalize(mean, dim=1)[0])
    return torch.stack(rows)


def run(arguments, texts):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(texts) + "\n")
        file.flush()
        out = subprocess.run(arguments + ["--file", file.name, "--json"], check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    if len(lines) != len(texts):
        sys.exit(f"{arguments}: {len(lines)} lines for {len(texts)} texts")
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tuff")
    parser.add_argument("model")
    parser.add_argument("sentences")
    parser.add_argument("--device", action="append")
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    with open(options.sentences, encoding="utf-8", newline="\n") as file:
        texts = [line.rstrip("\n") for line in file]
    texts = [text for text in texts if text.strip()][: options.count]
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    tuff = shlex.split(options.tuff)
    wrong = 0
    for text, got in zip(texts, run([*tuff, "tokenize", options.model], texts), strict=True):
        want = tokenizer(text, truncation=True, return_offsets_mapping=True)
        wrong += any(list(map(list, want[key])) != got[key] if key == "offset_mapping" else list(want[key]) != got[key]
                     for key in ("input_ids", "token_type_ids", "attention_mask", "offset_mapping"))
    print(f"tokenizer: {len(texts)} sentences, {wrong} differ")
    failed = wrong > 0
    with open(f"{options.model}/sentence_bert_config.json", encoding="utf-8") as file:
        max_length = json.load(file)["max_seq_length"]
    model = AutoModel.from_pretrained(options.model, dtype=torch.float32).eval()
    for device in options.device or ["cpu"]:
        some = texts if device == "cpu" else texts[: max(1, len(texts) // 20)]
        want = embed(tokenizer, model, some, max_length)
        got = torch.tensor(run([*tuff, "run", "feature-extraction", options.model, "--device", device], some))
        worst = (got - want).abs().max().item() if got.isfinite().all() else float("nan")
        print(f"{device}: {len(some)} embeddings, worst element {worst:.3g} from PyTorch f32, limit {LIMIT:g}")
        failed = failed or not worst <= LIMIT
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Whether `tuff run text-classification` gives the logits of transformers for a saved folder and a table of texts.

    python compare_logits.py --tuff build/tuff --model DIR --file F --text-column title [--device cpu] [--limit 1000]

Exits with 1 when any logit is further off than --allowed.
"""
import argparse
import json
import subprocess
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tables import read_table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tuff", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--allowed", type=float, default=1e-5)
    args = parser.parse_args()

    model = AutoModelForSequenceClassification.from_pretrained(args.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    texts = [row[args.text_column] for row in read_table(args.file, args.limit)]
    command = [args.tuff, "run", "text-classification", args.model, "--file", args.file, "--text-column",
               args.text_column, "--function-to-apply", "none", "--top-k", "1000", "--json", "--device", args.device]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    if len(lines) < len(texts):
        sys.exit(f"{len(lines)} lines for {len(texts)} texts")
    worst, scale, equal = 0.0, 0.0, 0
    for start in range(0, len(texts), 64):
        batch = tokenizer(texts[start : start + 64], padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            wanted = model(**batch).logits.double()
        for row, line in zip(wanted, lines[start : start + len(wanted)], strict=True):
            scores = {entry["label"]: entry["score"] for entry in json.loads(line)}
            got = torch.tensor([scores[model.config.id2label[i]] for i in range(len(row))], dtype=torch.float64)
            if not (got.isfinite().all() and row.isfinite().all()):
                sys.exit(f"text {start}: logits that are not finite: {got.tolist()}, wanted {row.tolist()}")
            worst = max(worst, (got - row).abs().max().item())
            scale = max(scale, row.abs().max().item())
            equal += int(got.argmax() == row.argmax())
    print(f"{len(texts)} texts: logits up to {scale:.3g}, at most {worst:.3g} apart; {equal} equal answers")
    sys.exit(0 if worst <= args.allowed else 1)


if __name__ == "__main__":
    main()

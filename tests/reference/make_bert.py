"""Makes a BERT classifier folder with random weights, as transformers initialises them.

    python make_bert.py --tokenizer DIR --labels FILE.tsv --label-column label --output DIR [--num-hidden-layers 4 ...]

The labels are the sorted names of the file's label column.
"""
import argparse
import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from tables import label_names, read_table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--output", required=True)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--num-hidden-layers", type=int, default=4)
    parser.add_argument("--num-attention-heads", type=int, default=4)
    parser.add_argument("--intermediate-size", type=int, default=1024)
    parser.add_argument("--max-position-embeddings", type=int, default=512)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config-only", action="store_true", help="leave the weights out")
    args = parser.parse_args()

    tokenizer = BertTokenizer.from_pretrained(args.tokenizer)
    names = label_names(row[args.label_column] for row in read_table(args.labels))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.hidden_size,
        num_hidden_layers=args.num_hidden_layers,
        num_attention_heads=args.num_attention_heads,
        intermediate_size=args.intermediate_size,
        max_position_embeddings=args.max_position_embeddings,
        hidden_dropout_prob=args.dropout,
        attention_probs_dropout_prob=args.dropout,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
        problem_type="single_label_classification",
    )
    torch.manual_seed(args.seed)
    output = Path(args.output)
    if args.config_only:
        config.architectures = ["BertForSequenceClassification"]
        config.save_pretrained(output)
    else:
        BertForSequenceClassification(config).save_pretrained(output)
    for file in Path(args.tokenizer).iterdir():
        if file.name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copyfile(file, output / file.name)


if __name__ == "__main__":
    main()

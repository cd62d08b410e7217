"""The training recipe of `tuff train` in PyTorch and transformers, for comparison.

    python train_bert.py --model DIR --train F --output DIR [--dtype float64] [--max-steps 50] [--eval F] ...

Writes output/log.jsonl (a line each step, as tuff's with --logging-steps 1) and the trained folder, in --dtype.
Options have the names and defaults of `tuff train`. A random order of the rows is PyTorch's own and not tuff's.
"""
import argparse
import json
import math
import time
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_scheduler

from tables import read_table


def parse_arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--eval")
    parser.add_argument("--output", required=True)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--text-pair-column")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--max-train-samples", type=int)
    parser.add_argument("--max-eval-samples", type=int)
    parser.add_argument("--max-length", type=int)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--per-device-train-batch-size", type=int, default=8)
    parser.add_argument("--gradient-accumulation-steps", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--adam-beta1", type=float, default=0.9)
    parser.add_argument("--adam-beta2", type=float, default=0.999)
    parser.add_argument("--adam-epsilon", type=float, default=1e-8)
    parser.add_argument("--max-grad-norm", type=float, default=1.0)
    parser.add_argument("--num-train-epochs", type=float, default=3.0)
    parser.add_argument("--max-steps", type=int, default=-1)
    parser.add_argument("--lr-scheduler-type", default="linear")
    parser.add_argument("--warmup-steps", type=float, default=0)
    parser.add_argument("--warmup-ratio", type=float, default=0)
    parser.add_argument("--dropout", type=float, help="in place of every probability of config.json")
    parser.add_argument("--train-sampling-strategy", default="random", choices=["random", "sequential"])
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--logging-steps", type=int, default=1)
    return parser.parse_args(words)


def load_model(args):
    model = AutoModelForSequenceClassification.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
    if args.dropout is not None:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = args.dropout
            if isinstance(getattr(module, "dropout_prob", None), float):
                module.dropout_prob = args.dropout
        model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = args.dropout
    return model


def encode(rows, args, tokenizer, label2id):
    texts = [row[args.text_column] for row in rows]
    pairs = [row[args.text_pair_column] for row in rows] if args.text_pair_column else None
    limit = args.max_length or min(tokenizer.model_max_length, 512)
    encoded = tokenizer(texts, pairs, truncation=True, max_length=limit)
    keys = [key for key in ("input_ids", "token_type_ids", "attention_mask") if key in encoded]
    return [
        {**{key: encoded[key][i] for key in keys}, "labels": label2id[str(row[args.label_column])]}
        for i, row in enumerate(rows)
    ]


def collate(examples, pad_id):
    longest = max(len(example["input_ids"]) for example in examples)
    batch = {"labels": torch.tensor([example["labels"] for example in examples])}
    for key in ("input_ids", "token_type_ids", "attention_mask"):
        fill = pad_id if key == "input_ids" else 0
        batch[key] = torch.tensor([example[key] + [fill] * (longest - len(example[key])) for example in examples])
    return batch


def decay_groups(model, weight_decay):
    """As transformers' Trainer: no decay on biases and LayerNorm weights."""
    decayed, others = [], []
    for name, parameter in model.named_parameters():
        (others if name.endswith("bias") or "LayerNorm" in name else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def epoch_order(count, args, epoch):
    if args.train_sampling_strategy == "sequential":
        return list(range(count))
    generator = torch.Generator().manual_seed(args.seed * 1000 + epoch)
    return torch.randperm(count, generator=generator).tolist()


def evaluate(model, examples, pad_id, batch_size=64):
    model.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(examples), batch_size):
            batch = collate(examples[start : start + batch_size], pad_id)
            labels = batch.pop("labels")
            logits = model(**batch).logits.double()
            loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(-1) == labels).sum().item()
    model.train()
    return {"eval_loss": loss / len(examples), "eval_accuracy": correct / len(examples)}


def update(model, optimizer, scheduler, batches, args):
    """One update from the mean over all rows of `batches`."""
    rows = sum(len(batch["labels"]) for batch in batches)
    loss = 0.0
    for batch in batches:
        part = model(**batch).loss * (len(batch["labels"]) / rows)
        part.backward()
        loss += part.item()
    limit = args.max_grad_norm if args.max_grad_norm > 0 else math.inf
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit).item()
    rate = scheduler.get_last_lr()[0]
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad()
    return {"loss": loss, "grad_norm": norm, "learning_rate": rate}


def train(args, on_step=None):
    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = load_model(args).train()
    label2id = {name: int(i) for i, name in model.config.id2label.items()}
    examples = encode(read_table(args.train, args.max_train_samples), args, tokenizer, label2id)
    held_out = encode(read_table(args.eval, args.max_eval_samples), args, tokenizer, label2id) if args.eval else None
    per_update = args.per_device_train_batch_size * args.gradient_accumulation_steps
    per_epoch = math.ceil(len(examples) / per_update)
    total = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * per_epoch)
    share = args.warmup_steps if 0 < args.warmup_steps < 1 else args.warmup_ratio
    warmup = int(args.warmup_steps) if args.warmup_steps >= 1 else math.ceil(total * share)
    optimizer = torch.optim.AdamW(
        decay_groups(model, args.weight_decay),
        lr=args.learning_rate,
        betas=(args.adam_beta1, args.adam_beta2),
        eps=args.adam_epsilon,
    )
    scheduler = get_scheduler(args.lr_scheduler_type, optimizer, warmup, total)
    log, step, epoch = [], 0, 0
    while step < total:
        order = epoch_order(len(examples), args, epoch)
        for first in range(0, len(order), per_update):
            rows = [examples[i] for i in order[first : first + per_update]]
            size = args.per_device_train_batch_size
            batches = [collate(rows[i : i + size], tokenizer.pad_token_id) for i in range(0, len(rows), size)]
            entry = update(model, optimizer, scheduler, batches, args)
            step += 1
            log.append({**entry, "epoch": round(step / per_epoch, 4), "step": step})
            if on_step:
                on_step(log[-1], total)
            if step == total:
                break
        epoch += 1
        if held_out:
            log.append({**evaluate(model, held_out, tokenizer.pad_token_id), "epoch": epoch, "step": step})
            print(json.dumps(log[-1]), flush=True)
    return model, tokenizer, log


def main():
    args = parse_arguments()
    begin = time.time()

    def show(entry, total):
        if entry["step"] % args.logging_steps == 0:
            print(json.dumps(entry), f"of {total}, {time.time() - begin:.0f} s", flush=True)

    model, tokenizer, log = train(args, show)
    output = Path(args.output)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    with open(output / "log.jsonl", "w", encoding="utf-8") as file:
        for entry in log:
            file.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main()

"""Writes schedule.txt: the rates of transformers' schedulers: type, lr, warm-up, total, step, rate."""
from pathlib import Path

import torch
import transformers
from transformers import get_scheduler

CASES = [
    ("linear", 5e-5, 0, 10),
    ("linear", 5e-5, 3, 10),
    ("linear", 1e-3, 7, 7),
    ("linear", 1e-3, 9, 7),
    ("linear", 2e-5, 1, 1),
    ("cosine", 3e-4, 0, 9),
    ("cosine", 3e-4, 4, 9),
    ("constant", 1e-4, 3, 6),
    ("constant_with_warmup", 1e-4, 3, 6),
    ("constant_with_warmup", 1e-4, 0, 4),
]


def main():
    with open(Path(__file__).with_name("schedule.txt"), "w", encoding="ascii") as file:
        file.write(f"# transformers {transformers.__version__}; made by make_schedule.py\n")
        for name, rate, warmup, total in CASES:
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
            scheduler = get_scheduler(name, optimizer, warmup, total)
            for step in range(total):
                file.write(f"{name} {rate!r} {warmup} {total} {step} {scheduler.get_last_lr()[0]!r}\n")
                optimizer.step()
                scheduler.step()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""bench_minilm.py MODEL: PyTorch's time for the forward pass of a BERT body, batch 32 x 128, float32, all processors; the
median of 7 runs after 2. The peer of `tuff bench --device cpu --model MODEL --filter inference`."""
import statistics
import sys
import time

import torch
from transformers import AutoModel

model = AutoModel.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
ids = torch.randint(0, model.config.vocab_size, (32, 128))
times = []
with torch.no_grad():
    for i in range(9):
        begin = time.perf_counter()
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
        times.append(time.perf_counter() - begin)
print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads: median {statistics.median(times[2:]):.4f} s")

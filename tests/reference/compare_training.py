"""Whether one training run stays as near to PyTorch's float64 run as PyTorch's float32 run does, within a factor.

    python compare_training.py --float64 DIR --float32 DIR --run DIR [--factor 8]

Each folder holds log.jsonl, with every step logged, and model.safetensors. Distances: of the loss, the largest of
|loss - loss64| / loss64 over the steps; of a parameter, the norm of its difference over its norm. Attention key biases
are left out: softmax does not feel them, so their gradient is nothing but rounding. Exits with 1 when a distance is too
large.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy
from safetensors.numpy import load_file


def read_log(folder, key):
    with open(Path(folder) / "log.jsonl", encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    return numpy.array([entry[key] for entry in entries if key in entry], dtype=numpy.float64)


def log_distance(folder, exact, key):
    values, wanted = read_log(folder, key), read_log(exact, key)
    if values.shape != wanted.shape or not numpy.all(numpy.isfinite(values)):
        sys.exit(f"{folder}: {len(values)} finite values of {key}, wanted {len(wanted)}")
    return float(numpy.max(numpy.abs(values - wanted) / numpy.abs(wanted)))


def parameter_distances(folder, exact):
    values, wanted = load_file(Path(folder) / "model.safetensors"), load_file(Path(exact) / "model.safetensors")
    if set(values) != set(wanted):
        sys.exit(f"{folder}: parameters differ by {sorted(set(values) ^ set(wanted))}")
    distances = {}
    for name, truth in wanted.items():
        if name.endswith("attention.self.key.bias"):
            continue
        truth, value = truth.astype(numpy.float64), values[name].astype(numpy.float64)
        norm = numpy.linalg.norm(truth)
        distances[name] = float(numpy.linalg.norm(value - truth) / norm) if norm else float(numpy.linalg.norm(value))
    return distances


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--float64", required=True)
    parser.add_argument("--float32", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--factor", type=float, default=8)
    args = parser.parse_args()

    rows = []
    for key in ("loss", "grad_norm"):
        rows.append((key, log_distance(args.run, args.float64, key), log_distance(args.float32, args.float64, key)))
    ours, theirs = parameter_distances(args.run, args.float64), parameter_distances(args.float32, args.float64)
    rows += [(name, ours[name], theirs[name]) for name in sorted(ours)]

    bad = [row for row in rows if not row[1] <= args.factor * row[2]]
    ratios = sorted(((ours / theirs if theirs else float("inf")), name) for name, ours, theirs in rows)
    for name, our, their in rows[:2]:
        print(f"{name}: {our:.3g} from float64, PyTorch's float32 {their:.3g}: {our / their:.2f} times")
    parameters = numpy.array([[row[1], row[2]] for row in rows[2:]])
    median, largest = numpy.median(parameters, axis=0), numpy.max(parameters, axis=0)
    print(f"{len(parameters)} parameters: median {median[0]:.3g}, largest {largest[0]:.3g};"
          f" PyTorch's float32 {median[1]:.3g}, {largest[1]:.3g}")
    print(f"largest ratio: {ratios[-1][0]:.2f} ({ratios[-1][1]}), allowed {args.factor:g}")
    for name, our, their in bad:
        print(f"TOO FAR: {name}: {our:.3g}, PyTorch's float32 {their:.3g}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

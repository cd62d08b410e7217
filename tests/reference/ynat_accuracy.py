"""The accuracy of `tuff train` and of PyTorch after one recipe: 10,000 Korean headlines, a BERT from random weights.

    python ynat_accuracy.py --data shared/data --work DIR [--tuff build/tuff] [--device cpu] [--pytorch] [--seed 42]

Runs `tuff train` where --tuff is given and PyTorch where --pytorch is, with dropout, to the end; a run that left its
log in --work already is read from there. Judged on the held-out rows: with both, exits with 1 unless tuff is within 1
point of PyTorch and at or above the linear model's 70.4 %.
"""
import argparse
import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LINEAR = 0.704
ROWS = 10000
RECIPE = (
    "--text-column title --label-column label --per-device-train-batch-size 32 --learning-rate 5e-4 "
    "--weight-decay 0.01 --warmup-ratio 0.1 --num-train-epochs 4 --dropout 0.3 --max-length 64"
).split()


def prepare(data, work):
    """The rows, unpacked, and the model's folder: 4 layers, hidden 256, KcELECTRA's vocabulary."""
    work.mkdir(parents=True, exist_ok=True)
    train = work / "ynat_10000.tsv"
    if not train.exists():
        with gzip.open(data / "ynat" / "train.tsv.gz", "rt", encoding="utf-8", newline="") as packed:
            train.write_text("".join(line for _, line in zip(range(ROWS + 1), packed)), encoding="utf-8")
    model = work / "initial"
    if not model.exists():
        command = [sys.executable, HERE / "make_bert.py", "--tokenizer", data / "tokenizers" / "KcELECTRA-base"]
        command += ["--labels", train, "--output", model, "--dropout", "0.1"]
        subprocess.run([str(word) for word in command], check=True)
    return ["--model", str(model), "--train", str(train), "--eval", str(data / "ynat" / "dev.tsv")]


def run(name, command, output, fresh):
    """The evaluation lines of a run's log, in order."""
    if fresh and output.exists():
        shutil.rmtree(output)
    if not (output / "log.jsonl").exists():
        print(" ".join(command), flush=True)
        subprocess.run(command, check=True)
    with open(output / "log.jsonl", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if "eval_accuracy" in line]
    print(name, "dev accuracy by epoch:", ", ".join(f"{100 * line['eval_accuracy']:.2f}" for line in lines), flush=True)
    return lines[-1]["eval_accuracy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--tuff")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pytorch", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="run again what has run before")
    parser.add_argument("--seed", default="42")
    args = parser.parse_args()

    shared = prepare(args.data, args.work) + RECIPE + ["--seed", args.seed]
    results = {}
    if args.tuff:
        output = args.work / f"tuff-{args.device.replace(':', '')}-{args.seed}"
        command = [args.tuff, "train", *shared, "--output", str(output), "--device", args.device]
        results["tuff"] = run("tuff", command, output, args.fresh)
    if args.pytorch:
        output = args.work / f"pytorch-{args.seed}"
        command = [sys.executable, str(HERE / "train_bert.py"), *shared, "--output", str(output)]
        results["PyTorch"] = run("PyTorch", command, output, args.fresh)
    if len(results) == 2:
        good = results["tuff"] >= LINEAR and results["tuff"] >= results["PyTorch"] - 0.01
        print(f"tuff {100 * results['tuff']:.2f} %, PyTorch {100 * results['PyTorch']:.2f} %, linear model 70.4 %:",
              "as good" if good else "NOT as good")
        sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

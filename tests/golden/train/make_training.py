"""Writes the golden training run that test_trainer.c replays.

initial/ is a tiny BERT with random weights, train.tsv its rows; expected/ holds the loss, gradient norm and rate of ten
updates and the final parameters, from PyTorch in float64; its distances.txt says how far PyTorch's float32 run is from
that, for each figure and parameter.

    python make_training.py      (beside tests/reference, whose train_bert.py it runs)

The words carry no meaning, so that nothing here is anybody's text; pairs, a partial last batch, the change of epoch,
clipping, weight decay and warm-up are all met.
"""
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from safetensors.numpy import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "reference"))
import compare_training  # noqa: E402
import train_bert  # noqa: E402

LABELS = ["drei", "eins", "zwei"]
RECIPE = (
    "--text-column first --text-pair-column second --label-column class --per-device-train-batch-size 4 "
    "--learning-rate 2e-3 --weight-decay 0.01 --warmup-steps 3 --max-steps 10 --max-grad-norm 0.7 "
    "--train-sampling-strategy sequential"
).split()


def write_initial(folder):
    folder.mkdir(exist_ok=True)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + syllables + ["##" + s for s in syllables[:40]]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        '{"do_lower_case": true, "model_max_length": 32, "tokenizer_class": "BertTokenizer"}\n', encoding="utf-8"
    )
    config = BertConfig(
        vocab_size=len(words), hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)},
        problem_type="single_label_classification", initializer_range=0.2,
    )
    torch.manual_seed(3)
    BertForSequenceClassification(config).save_pretrained(folder)
    return syllables


def write_rows(path, syllables):
    draw = random.Random(5)
    with open(path, "w", encoding="utf-8") as file:
        file.write("first\tclass\tsecond\n")
        for i in range(26):
            first = " ".join(draw.choice(syllables) for _ in range(draw.randint(1, 14)))
            second = " ".join(draw.choice(syllables) + draw.choice(syllables[:40]) for _ in range(draw.randint(0, 5)))
            file.write(f"{first}\t{draw.choice(LABELS)}\t{second}\n")


def run(dtype, output):
    words = ["--model", str(HERE / "initial"), "--train", str(HERE / "train.tsv"), "--output", str(output)]
    sys.argv = ["train_bert.py", *words, *RECIPE, "--dtype", dtype]
    train_bert.main()


def main():
    torch.set_num_threads(1)
    write_rows(HERE / "train.tsv", write_initial(HERE / "initial"))
    expected = HERE / "expected"
    expected.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        exact, single = Path(folder) / "float64", Path(folder) / "float32"
        run("float64", exact)
        run("float32", single)
        shutil.copyfile(exact / "log.jsonl", expected / "log.jsonl")
        parameters = load_file(exact / "model.safetensors")
        save_file({name: value.astype(numpy.float32) for name, value in parameters.items()},
                  expected / "model.safetensors", {"format": "pt"})
        with open(expected / "distances.txt", "w", encoding="ascii") as file:
            for key in ("loss", "grad_norm"):
                file.write(f"{key} {compare_training.log_distance(single, exact, key):.3g}\n")
            for name, distance in sorted(compare_training.parameter_distances(single, exact).items()):
                file.write(f"{name} {distance:.3g}\n")


if __name__ == "__main__":
    main()

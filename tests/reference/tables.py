"""Reads tables as `tuff train` does: CSV, TSV or JSON Lines with a header, fields quoted where they need it."""
import csv
import gzip
import json


def read_table(path, limit=None):
    """The rows as dictionaries; the format is told by the suffix, .gz apart."""
    path = str(path)
    name = path.removesuffix(".gz")
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        if name.endswith((".jsonl", ".ndjson", ".json")):
            rows = (json.loads(line) for line in file if line.strip())
        else:
            rows = csv.DictReader(file, delimiter="\t" if name.endswith(".tsv") else ",")
        return [row for _, row in zip(range(limit) if limit else iter(int, 1), rows)]


def label_names(labels):
    """Sorted unique names; as numbers where all are whole numbers."""
    names = {str(label) for label in labels}
    if all(name.lstrip("-").isdigit() for name in names):
        return sorted(names, key=int)
    return sorted(names, key=lambda name: name.encode())

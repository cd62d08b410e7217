#!/usr/bin/env python3
"""Writes the tiny random BERT folders beside this file and, in each, golden.json: what transformers computes with it.

    python3 make_models.py        (torch, transformers, safetensors; the same files come out each time)

The models differ where implementations go wrong: head sizes 20, 12, 96, 33 and 6; widths that no tile divides; every
activation; f32, f16 and bf16 files; shards; one and several labels; with and without the "bert." prefix; TensorFlow's old
names. Weights are scaled so that logits are of order one. Expected values are f32 results of the f32 copy of the stored
weights; the script refuses to write them unless they are within 3e-6 of the f64 results.
"""
import json
import math
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel, pipeline

HERE = Path(__file__).resolve().parent
WORDS = ("the a of and in to is it that market bank game team film phone chip vote law rain sun music win lose new old "
         "good bad very not play run up down ##s ##ed ##ing ##er un ##happy happy 주가 경제 축구 영화 정치 ##가 ##는 "
         ". , ! ? - ' 1 2 3").split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# name, configuration, stored dtype, shard size, extras
MODELS = [
    ("gelu_head20", dict(hidden_size=60, num_attention_heads=3, intermediate_size=77, num_hidden_layers=2,
                         hidden_act="gelu", num_labels=3, vocab_size=97, max_position_embeddings=50),
     torch.float32, None, {"tokenizer": True}),
    ("relu_head12_f16", dict(hidden_size=60, num_attention_heads=5, intermediate_size=101, num_hidden_layers=2,
                             hidden_act="relu", num_labels=2, vocab_size=61, max_position_embeddings=37),
     torch.float16, None, {}),
    ("silu_head96_bf16", dict(hidden_size=96, num_attention_heads=1, intermediate_size=131, num_hidden_layers=2,
                              hidden_act="silu", num_labels=1, vocab_size=64, max_position_embeddings=40),
     torch.bfloat16, None, {}),
    ("gelu_new_head33_shards", dict(hidden_size=99, num_attention_heads=3, intermediate_size=70, num_hidden_layers=1,
                                    hidden_act="gelu_new", num_labels=4, vocab_size=53, max_position_embeddings=41,
                                    problem_type="multi_label_classification", type_vocab_size=3),
     torch.float32, "120KB", {}),
    ("tanh_head6_body", dict(hidden_size=24, num_attention_heads=4, intermediate_size=37, num_hidden_layers=3,
                             hidden_act="tanh", vocab_size=97, max_position_embeddings=33),
     torch.float32, None, {"body": True, "tokenizer": True}),
]


def randomize(model, seed):
    """Weights for logits of order one, and LayerNorm parameters that are not ones and zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if "LayerNorm.weight" in name:
                p.copy_(1 + 0.2 * noise)
            elif p.dim() == 1:
                p.copy_(0.1 * noise)
            elif "embeddings" in name:
                p.copy_(0.7 * noise)
            else:
                gain = 0.8 if ".query." in name or ".key." in name else 1.2 # flat softmaxes round less
                p.copy_(noise * (gain / math.sqrt(p.shape[1])))


def make_batch(config, seed):
    """Rows of unlike lengths, the longest and the shortest that the model takes among them."""
    generator = torch.Generator().manual_seed(seed)
    lengths = [5, config.max_position_embeddings, 1, 17, 8, 9]
    width = max(lengths)
    ids = torch.full((len(lengths), width), config.pad_token_id)
    types = torch.zeros_like(ids)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(5, config.vocab_size, (length,), generator=generator)
        types[row, :length] = torch.randint(0, config.type_vocab_size, (length,), generator=generator)
        mask[row, :length] = 1
    return lengths, ids, types, mask


def run(model, batch):
    lengths, ids, types, mask = batch
    with torch.no_grad():
        out = model(input_ids=ids, token_type_ids=types, attention_mask=mask, output_hidden_states=True)
    if isinstance(model, BertModel):
        return {"last_hidden_state": out.last_hidden_state, "pooler_output": out.pooler_output}
    return {"last_hidden_state": out.hidden_states[-1], "logits": out.logits}


def listed(tensor):
    """Nine digits, which is what a float holds."""
    return [float(f"{x:.9g}") for x in tensor.float().flatten().tolist()]


def pooled(hidden, mask, mode):
    if mode == "cls":
        return hidden[:, 0]
    weights = mask[:, :, None].to(hidden.dtype)
    if mode == "mean":
        return (hidden * weights).sum(1) / weights.sum(1)
    return hidden.masked_fill(weights == 0, -1e9).max(1).values


def write_tokenizer(folder, vocab_size, config):
    words = SPECIAL + WORDS
    words += [f"[unused{i}]" for i in range(vocab_size - len(words))]
    assert len(words) == vocab_size, len(words)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "tokenize_chinese_chars": True,
        "strip_accents": None, "model_max_length": config.max_position_embeddings}, indent=2) + "\n")


def write_sentence_transformer(folder, config):
    (folder / "modules.json").write_text(json.dumps([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}],
        indent=2) + "\n")
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({
        "word_embedding_dimension": config.hidden_size, "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False}, indent=2) + "\n")
    (folder / "sentence_bert_config.json").write_text(json.dumps({
        "max_seq_length": 12, "do_lower_case": False}, indent=2) + "\n")


TEXTS = ["the market is up", "주가는 down, not up!", "", "a very happy team wins the game . a very happy team wins the "
         "game . a very happy team wins the game . a very happy team wins the game . a very happy team wins the game .",
         "UNHAPPY banks?", "zzz the zzz"]


def pipeline_expectations(folder, model, body):
    """What transformers' pipelines give for TEXTS, in the folder's own order of labels."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if body:
        encoded = tokenizer(TEXTS, padding=True, truncation=True, max_length=12, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**encoded).last_hidden_state
        vectors = torch.nn.functional.normalize(pooled(hidden, encoded["attention_mask"], "mean"), dim=1)
        tokens = pipeline("feature-extraction", model=model, tokenizer=tokenizer)(TEXTS[1])
        return {"texts": TEXTS, "embeddings": [listed(v) for v in vectors],
                "tokens_of_text_1": [listed(torch.tensor(row)) for row in tokens[0]]}
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
    out = {"texts": TEXTS}
    for function in ("softmax", "sigmoid", "none"):
        rows = classify(TEXTS, top_k=None, function_to_apply=function, truncation=True)
        out[function] = [[{"label": x["label"], "score": float(f"{x['score']:.9g}")} for x in row] for row in rows]
    pair = classify([{"text": "the market", "text_pair": "the team wins"}], top_k=None, truncation=True)
    out["pair"] = [{"label": x["label"], "score": float(f"{x['score']:.9g}")} for x in pair[0]]
    return out


def rename_as_tensorflow(folder):
    """The names that BERT's first conversions wrote, and the buffer that later versions saved."""
    from safetensors.torch import load_file
    tensors = load_file(folder / "model.safetensors")
    renamed = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
               for k, v in tensors.items()}
    renamed["embeddings.position_ids"] = torch.arange(33)[None]
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})


def make(index, name, options, dtype, shard_size, extras):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    body = extras.get("body", False)
    config = BertConfig(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, attn_implementation="eager",
                        **options)
    if config.num_labels == 3:
        config.id2label = {0: "경제", 1: "sport", 2: "other \"news\""}
        config.label2id = {v: k for k, v in config.id2label.items()}
    torch.manual_seed(index)
    kind = BertModel if body else BertForSequenceClassification
    model = kind(config).eval()
    randomize(model, 100 + index)
    model = model.to(dtype)
    model.save_pretrained(folder, **({"max_shard_size": shard_size} if shard_size else {}))
    model = model.float()
    batch = make_batch(config, 200 + index)
    single, double = run(model, batch), run(kind.from_pretrained(folder, dtype=torch.float64).eval(), batch)
    lengths, ids, types, mask = batch
    golden = {"sequences": [{"input_ids": ids[r, :n].tolist(), "token_type_ids": types[r, :n].tolist()}
                            for r, n in enumerate(lengths)]}
    for key, value in single.items():
        scale = mask[:, :, None] if value.dim() == 3 else 1
        worst = ((value.double() - double[key]) * scale).abs().max().item()
        print(f"{name:24} {key:18} largest {value.abs().max():.3f}, f32 is within {worst:.1e} of f64")
        if worst > 3e-6:
            sys.exit("f32 is too far from f64")
        if value.dim() == 2:
            golden[key] = [listed(row) for row in value]
    hidden = single["last_hidden_state"]
    golden["last_hidden_state_of_0"] = [listed(row) for row in hidden[0, :lengths[0]]]
    for mode in ("cls", "mean", "max"):
        golden["pooled_" + mode] = [listed(row) for row in pooled(hidden, mask, mode)]
    if extras.get("tokenizer"):
        write_tokenizer(folder, config.vocab_size, config)
        if body:
            write_sentence_transformer(folder, config)
        golden["pipeline"] = pipeline_expectations(folder, model, body)
    if body:
        rename_as_tensorflow(folder)
    (folder / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    for i, row in enumerate(MODELS):
        make(i, *row)

"""Two causal language models in one shot, by four methods: a small published Llama, on text that it writes
itself, and one trained here on the Brown corpus. Imports torch and transformers."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

import aerogel
from accuracy_task import Task
from aerogel.bench.claims import Claim
from aerogel.prune import Schedule

METHODS: dict[str, Mapping[str, Any]] = {
    "magnitude": {"importance": "magnitude"},
    "Wanda": {"method": "wanda"},
    "OBS": {"method": "sparsegpt"},
    "ADMM": {"importance": "wanda", "recovery": "admm"},
}
"""Each shall leave a perplexity no higher than the one before."""
PATTERNS = ("unstructured", "2:4")
SPARSITY = 0.5
BATCH, CALIBRATION, JUDGED = 32, 256, 512
WORDS, CONTEXT, SPLIT = 4000, 64, 52000
TRAINING_STEPS, RATE, WARM = 1500, 3e-3, 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """``perplexity``: of next tokens, each context read once from its start, its first token not judged;
    ``seconds``: of pruning."""

    model: str
    pattern: str
    method: str
    zeros: float
    perplexity: float
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """Token ids, [contexts, tokens]; no context is in both."""

    calibration: torch.Tensor
    judged: torch.Tensor


def perplexity(model: torch.nn.Module, contexts: torch.Tensor) -> float:
    total, count = 0.0, 0
    with torch.no_grad():
        for ids in contexts.split(BATCH):
            logits = model(input_ids=ids).logits[:, :-1].float()
            lost = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"
            )
            total, count = total + float(lost), count + ids[:, 1:].numel()
    return math.exp(total / count)


def rows(name: str, model: LlamaForCausalLM, corpus: Corpus, task: Task) -> Iterator[Row]:
    """The dense model, then each method in each pattern."""
    yield Row(name, "dense", "dense", 0.0, perplexity(model, corpus.judged), 0.0, task.seed)
    data = [{"input_ids": ids} for ids in corpus.calibration.split(BATCH)]
    for pattern in PATTERNS:
        for method, choices in METHODS.items():
            task.tell(f"{name}, {pattern}: {method}", 0.0)
            began = time.perf_counter()
            found = aerogel.prune(model, SPARSITY, pattern=pattern, data=data, **choices)
            seconds = time.perf_counter() - began
            layers = found.report.layers
            zeros = sum(r.zeros for r in layers) / sum(r.size for r in layers)
            yield Row(
                name, pattern, method, zeros, perplexity(found.model, corpus.judged), seconds, task.seed
            )


def measured(task: Task) -> Iterator[Row]:
    """Of the model that ``task.part`` names."""
    if task.part == "llama":
        model = small_llama(task.data)
        yield from rows("small Llama", model, own_words(model, task.seed), task)
        return
    train, corpus = brown(task.data, task.seed)
    yield from rows("Brown", taught(train, task), corpus, task)


def claims(found: Sequence[Row], _: str) -> list[Claim]:
    """Of neighbours in ``METHODS``: the perplexity that the second leaves over that of the first."""
    by = {(row.model, row.pattern, row.method): row.perplexity for row in found}
    return [
        Claim(
            f"{model}, 50 %, {pattern}: perplexity by {after} over that by {before}",
            by[model, pattern, after] / by[model, pattern, before], 1.0, "", "at most",
        )
        for model in dict.fromkeys(row.model for row in found)
        for pattern in PATTERNS
        for before, after in itertools.pairwise(METHODS)
        if (model, pattern, before) in by and (model, pattern, after) in by
    ]  # fmt: skip


def settings(part: str) -> dict[str, Any]:
    """What a reader needs to do it again."""
    facts = {"batch": BATCH, "calibration": CALIBRATION, "methods": {k: dict(v) for k, v in METHODS.items()}}
    if part == "llama":
        return facts | {"judged": JUDGED, "texts": "drawn from the dense model itself, 128 tokens each"}
    trained = {"words": WORDS, "context": CONTEXT, "steps": TRAINING_STEPS, "rate": RATE}
    return facts | {"judged": 2 * JUDGED} | trained


# ---------------------------------------------------------------------------------------- the published Llama


def small_llama(data: Path) -> LlamaForCausalLM:
    """From ``data``/llama_aidreams260k, checked against its publisher's tokens."""
    folder = data / "llama_aidreams260k"
    facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=facts["vocab_size"], hidden_size=facts["dim"], intermediate_size=facts["hidden_dim"],
            num_hidden_layers=facts["n_layers"], num_attention_heads=facts["n_heads"],
            num_key_value_heads=facts["n_kv_heads"], max_position_embeddings=facts["max_seq_len"],
            rms_norm_eps=facts["norm_eps"], tie_word_embeddings=True, bos_token_id=facts["bos_id"],
            eos_token_id=facts["eos_id"],
        )
    )  # fmt: skip
    with np.load(folder / "weights.npz") as file:
        weights = {name: torch.from_numpy(file[name]) for name in file.files}
    state = {
        "model.embed_tokens.weight": weights["tok_embeddings"],
        "model.norm.weight": weights["final_norm"],
    }
    state["lm_head.weight"] = weights["tok_embeddings"]
    for i in range(facts["n_layers"]):
        state |= _block(i, weights, facts["n_heads"])
    model.load_state_dict(state)
    model.eval()
    wanted = facts["check_greedy_from_bos_tokens"]
    ids = torch.tensor([[facts["bos_id"], *wanted]])
    with torch.no_grad():
        told = model(input_ids=ids).logits[0, :-1].argmax(-1).tolist()
    assert told == wanted, "the weights were put together wrongly"
    return model


def _block(i: int, weights: Mapping[str, torch.Tensor], heads: int) -> dict[str, torch.Tensor]:
    """Its rotary pairs lie side by side; here the halves of a head do."""
    where = f"model.layers.{i}"
    found = {
        f"{where}.input_layernorm.weight": weights["attn_norm"][i],
        f"{where}.post_attention_layernorm.weight": weights["ffn_norm"][i],
    }
    for name, own in {"q": "wq", "k": "wk", "v": "wv", "o": "wo"}.items():
        weight = weights[own][i]
        if name in "qk":
            weight = weight.reshape(heads, -1, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
        found[f"{where}.self_attn.{name}_proj.weight"] = weight
    for name, own in {"gate": "w1", "down": "w2", "up": "w3"}.items():
        found[f"{where}.mlp.{name}_proj.weight"] = weights[own][i]
    return found


def written(model: LlamaForCausalLM, count: int, seed: int) -> torch.Tensor:
    """[count, most] tokens that ``model`` writes, each drawn as likely as it says."""
    most, first = model.config.max_position_embeddings, model.config.bos_token_id
    torch.manual_seed(seed)
    ids = torch.full((count, 1), int(first or 0))
    with torch.no_grad():
        cache = None
        for _ in range(most - 1):
            made = model(input_ids=ids[:, -1:], past_key_values=cache, use_cache=True)
            cache = made.past_key_values
            drawn = torch.multinomial(made.logits[:, -1].softmax(-1), 1)
            ids = torch.cat([ids, drawn], 1)
    return ids


def own_words(model: LlamaForCausalLM, seed: int) -> Corpus:
    ids = written(model, CALIBRATION + JUDGED, seed)
    return Corpus(ids[:CALIBRATION], ids[CALIBRATION:])


# ------------------------------------------------------------------------------------- the one trained here


def brown(data: Path, seed: int) -> tuple[torch.Tensor, Corpus]:
    """(contexts to train on, of them some to calibrate, others to judge by): the most common words of the
    first ``SPLIT`` sentences by number, 0 for any other, 1 for the end of a sentence."""
    lines = (data / "brown" / "brown.txt").read_text(encoding="utf-8").splitlines()
    common = Counter(word for line in lines[:SPLIT] for word in line.split()).most_common(WORDS - 2)
    number = {word: i for i, (word, _) in enumerate(common, 2)}

    def contexts(some: Sequence[str]) -> torch.Tensor:
        ids = [i for line in some for i in (*(number.get(word, 0) for word in line.split()), 1)]
        whole = len(ids) // CONTEXT * CONTEXT
        return torch.tensor(ids[:whole]).reshape(-1, CONTEXT)

    train, judged = contexts(lines[:SPLIT]), contexts(lines[SPLIT:])
    rng = np.random.default_rng(seed)
    some = torch.from_numpy(rng.permutation(len(train))[: 2 * CALIBRATION])
    return train, Corpus(train[some], judged[torch.from_numpy(rng.permutation(len(judged))[: 2 * JUDGED])])


def fresh() -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=WORDS, hidden_size=128, intermediate_size=344, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=CONTEXT,
            tie_word_embeddings=True, bos_token_id=1, eos_token_id=1,
        )
    )  # fmt: skip


def taught(train: torch.Tensor, task: Task) -> LlamaForCausalLM:
    """A model trained on ``train`` by AdamW in batches of ``BATCH`` contexts, drawn by the seed."""
    torch.manual_seed(task.seed)
    model, file = fresh(), task.file("brown.safetensors")
    if file is not None and file.exists():
        model.load_state_dict(load_file(file), strict=False)
        return model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.1, betas=(0.9, 0.95))
    order = np.random.default_rng(task.seed).permutation(len(train))
    steps = task.steps(TRAINING_STEPS)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = Schedule(steps=steps, rate=RATE, warm=WARM).rate_at(step / steps)
        ids = train[torch.from_numpy(np.take(order, range(step * BATCH, (step + 1) * BATCH), mode="wrap"))]
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        task.tell(f"Brown, loss {float(loss.detach()):.3f}", step / steps)
    if file is not None:
        # The output's weight is that of the embedding: a file holds it once.
        save_file({n: p for n, p in model.state_dict().items() if n != "lm_head.weight"}, file)
    return model.eval()

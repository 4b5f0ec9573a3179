"""Run a text classification pipeline of transformers on a compiled model, beside the torch model itself.

    python examples/classify.py MODEL "What a lovely day" "This is broken again"

MODEL is the Hugging Face directory of a BERT, DistilBERT, RoBERTa, MPNet or ELECTRA classifier, say one that
`aerogel prune` wrote.
"""

from __future__ import annotations

import argparse
import sys
from time import perf_counter
from typing import Any

import transformers

import aerogel as ag

TEXTS = ("What a lovely day", "This is broken again", "I do not know what to think of it")


def timed(pipe: Any, texts: list[str]) -> tuple[list[dict[str, Any]], float]:
    """Labels and scores, and the best of three times in seconds."""
    seconds: list[float] = []
    for _ in range(3):
        began = perf_counter()
        found = pipe(texts, batch_size=8, truncation=True)
        seconds.append(perf_counter() - began)
    return found, min(seconds)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", help="a model's directory")
    parser.add_argument("text", nargs="*", default=list(TEXTS))
    given = parser.parse_args(arguments)

    pipe = transformers.pipeline("text-classification", model=given.model, device="cpu")
    dense, dense_s = timed(pipe, given.text)
    try:
        pipe.model = ag.TransformersModel(pipe.model)  # this is all
    except ag.AerogelError as error:
        print(error, file=sys.stderr)
        return 2
    ours, ours_s = timed(pipe, given.text)

    for text, theirs, row in zip(given.text, dense, ours, strict=True):
        agrees = f"(torch: {theirs['label']} {theirs['score']:.4f})"
        print(f"{row['label']:<12} {row['score']:.4f} {agrees}  {text}")
    print(f"best of 3: aerogel {1000 * ours_s:.1f} ms, torch {1000 * dense_s:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Find functions of Python's standard library by what they do.

    python examples/search_docstrings.py MODEL "How do I copy a whole directory tree?"

MODEL is an .aero file (then no torch is needed) or a Hugging Face directory of a sentence encoder. Without
it, the model of `aerogel demo` is taken, if it is installed.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from collections.abc import Iterator
from time import perf_counter

import aerogel as ag

MODULES = (
    *("calendar", "collections", "csv", "datetime", "difflib", "functools", "glob", "heapq", "itertools"),
    *("json", "math", "os.path", "random", "shutil", "statistics", "string", "subprocess", "tempfile"),
    *("textwrap", "threading", "urllib.parse", "zipfile"),
)


def docstrings() -> Iterator[tuple[str, str]]:
    """(name, first paragraph) of each public function and class."""
    for module in MODULES:
        found = importlib.import_module(module)
        for name, thing in inspect.getmembers(found):
            public = not name.startswith("_") and getattr(thing, "__module__", None) in (
                module,
                found.__name__,
            )
            text = inspect.getdoc(thing) if public else None
            if text:
                yield f"{module}.{name}", " ".join(text.partition("\n\n")[0].split())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", help="an .aero file or a model's directory")
    parser.add_argument("question", nargs="*", default=["How do I copy a whole directory tree?"])
    parser.add_argument("--top", type=int, default=3)
    given = parser.parse_args(arguments)
    try:
        if given.model is None:
            from aerogel.bench.demo import model_folder

            given.model = model_folder()
        encoder = ag.SentenceEncoder(given.model)
    except ag.AerogelError as error:
        print(error, file=sys.stderr)
        return 2

    names, texts = zip(*docstrings(), strict=True)
    began = perf_counter()
    index = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=True)
    print(f"{len(texts)} docstrings indexed in {perf_counter() - began:.1f} s: {index.shape[1]} numbers each")

    for question in given.question:
        # Both sides have length 1, so a product is the cosine of their angle.
        scores = index @ encoder.encode(question, normalize_embeddings=True)
        print(f"\n{question}")
        for i in scores.argsort()[::-1][: given.top]:
            print(f"  {scores[i]:.2f}  {names[i]}: {texts[i][:80]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

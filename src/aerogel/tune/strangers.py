"""What comes between two calls of a layer in a model: other layers, whose branches the CPU learns meanwhile.

A sparse packing is many short loops, each as long as its weights say. A CPU that saw the same layer just
before foresees where they end: on Zen 4 all 4,300 loops of a layer of 1152 x 96 words, and 30,000, but not
120,000. So panels at 16 columns took 17 us in a trial that calls one layer again and again, and 28 in a
model of 24 layers; quads, which have a fifteenth of the loops, 16 and 17.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from aerogel.core.memory import aligned
from aerogel.core.target import Target
from aerogel.formats.panel import WORD, pack, words
from aerogel.kernels.layout import Layout
from aerogel.kernels.tile import Element
from aerogel.tune.kernel import kernel_arguments, kernel_module, sample

# More loops than any CPU remembers, as small weights as do it.
ROWS, COLUMNS, ZEROS = 8192, 96, 0.8


@cache
def strangers(target: Target, element: Element) -> Callable[[], None]:
    """A call that takes 0.2 ms of one thread: one column of a large random layer, in panels."""
    rng = np.random.default_rng(5)
    live = rng.random((ROWS, COLUMNS)) >= ZEROS
    if element == "f32":
        weight = live.astype(np.float32)
    else:
        weight = words(np.repeat(live, WORD, axis=1).astype(np.int8))
    packed = pack(weight, "panel", COLUMNS, pairs=target.pairs)
    layout = Layout.of(target)
    x, y = sample(layout.size(COLUMNS, 1), element), aligned(layout.size(ROWS, 1))
    bound = kernel_module(target, "panel", element).bind(*kernel_arguments(packed, x, y, target, 1))
    return lambda: bound.run(1)

"""When zeros are worth a trial, and how much faster a second packing must be to be worth its memory."""

from __future__ import annotations

# Below this share of zeros no sparse candidate is worth a trial.
WORTH_A_TRIAL = 0.15
# How much slower than the best a layer may be where one packing serves few and many columns.
WORTH_TWO_PACKINGS = 1.3
# The same at many columns, where most of the time is spent; unless two would take more than the layer dense.
WORTH_TWO_AT_MANY = 1.1
# The same at few columns where two take at most half of what the layer takes dense: memory is no worry then.
WORTH_TWO_SMALL = 1.1
# The same where two would take more memory than the layer does dense: zeros are there to save it.
WORTH_MORE_THAN_DENSE = 1.5
# The same where two take about twice the memory, as a second copy of a dense layer does. That the threads
# of a call share the memory's rate leaves less of it than one thread shows.
WORTH_TWICE_DENSE = 2.5

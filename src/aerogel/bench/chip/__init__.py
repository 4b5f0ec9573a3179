"""The chip against this CPU: the eight kernels of the published comparison, and layers of a pruned network.

``kernels`` says what is computed, ``problem`` on which operands and what must come out; ``chip_side`` runs it
on the simulated chip, ``own_side``, ``scipy_side`` and ``torch_side`` on the CPU; ``compare`` times all of
them in turns, ``summary`` makes ratios of it.
"""

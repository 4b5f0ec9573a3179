"""A user's model on trial: pruned on the user's texts, and judged beside its dense self.

``prune_job`` is what is asked, ``pruning`` carries it out, ``outcome`` is what came of it: quality
(``accuracy``, ``evaluate``), and bytes, memory and time (``trade``). ``curve`` is quality over many shares
of zeros.
"""

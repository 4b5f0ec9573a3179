"""Zeros while a model trains: masks that hold, gradual pruning, connections that move. Imports torch."""

from __future__ import annotations

from aerogel.prune.training.callback import TrainingMasks
from aerogel.prune.training.gradual_magnitude import GradualMagnitude
from aerogel.prune.training.held import HeldMasks
from aerogel.prune.training.masks import Masks
from aerogel.prune.training.ramp import Ramp
from aerogel.prune.training.rigl import RigL

__all__ = ["GradualMagnitude", "HeldMasks", "Masks", "Ramp", "RigL", "TrainingMasks"]

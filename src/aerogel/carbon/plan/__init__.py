"""Planning: how large a model, on what hardware, when and where, at which batch size, before it is run.

Each file answers one question; none reads a meter by itself nor asks the network. What a plan assumes stands
in ``assumed.py`` and in the book of factors, each with its range and source.
"""

from __future__ import annotations

from aerogel.carbon.plan.batch import BatchStudy, measure_batches
from aerogel.carbon.plan.compute_optimal import LAWS, Optimum, ScalingLaw, compute_optimal
from aerogel.carbon.plan.hardware import Hardware, HardwareTable, hardware_table
from aerogel.carbon.plan.ranking import Ranking, rank
from aerogel.carbon.plan.rightsize import Candidate, Choice, read_candidates, right_size
from aerogel.carbon.plan.served import Served, for_serving
from aerogel.carbon.plan.when_where import Job, Shifting, best_times
from aerogel.carbon.plan.where import There, best_places
from aerogel.carbon.plan.work import Bill, Machine, Site, bill, bill_of_budget

__all__ = [
    "LAWS",
    "BatchStudy",
    "Bill",
    "Candidate",
    "Choice",
    "Hardware",
    "HardwareTable",
    "Job",
    "Machine",
    "Optimum",
    "Ranking",
    "ScalingLaw",
    "Served",
    "Shifting",
    "Site",
    "There",
    "best_places",
    "best_times",
    "bill",
    "bill_of_budget",
    "compute_optimal",
    "for_serving",
    "hardware_table",
    "measure_batches",
    "rank",
    "read_candidates",
    "right_size",
]

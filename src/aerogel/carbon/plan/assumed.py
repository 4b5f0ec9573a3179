"""What a plan must assume of hardware before anything has run on it, each with its range and its source."""

from __future__ import annotations

from aerogel.carbon.amount import Amount
from aerogel.carbon.factor import Factor
from aerogel.carbon.plan.hardware import Hardware
from aerogel.core.errors import InputError, require

UTILISATION = Factor(
    key="plan/utilisation",
    value=0.40,
    low=0.20,
    high=0.56,
    unit="of peak",
    year=2024,
    source="Llama 3 (arXiv:2407.21783): 38 to 43 % in BF16 on up to 16,384 H100; low: Llama 4 (Meta, 2025), "
    "390 TFLOP/s of 1,979 in FP8; high: Megatron-LM (arXiv:2205.05198), 56.3 % at a trillion parameters",
    grade="published",
    note="operations of the model per second over the peak, in training of large models by those who tune it "
    "well; small models, small batches and serving reach far less: give what you measured",
)

SERVER_POWER = Factor(
    key="plan/server-power",
    value=1.38,
    low=1.07,
    high=1.50,
    unit="W/W",
    year=2025,
    source="8 x H100 servers in training: 76 % of 10.2 kW (Newkirk et al., arXiv:2506.14551), at most 8.4 kW "
    "(Latif et al., arXiv:2412.08602); low: 428 W per A100 of 400 W (Chien et al., HotCarbon 2023)",
    grade="derived",
    note="watts of a server at the plug, for each accelerator in it, over the accelerator's design power",
)

ALONE_POWER = Factor(
    key="plan/accelerator-power",
    value=0.89,
    low=0.47,
    high=1.0,
    unit="W/W",
    year=2021,
    source="Google Cloud, TPU v4: measured minimum, mean and maximum of 90, 170 and 192 W",
    grade="assumed",
    note="an accelerator's mean power in use over its most, without the server around it; published for one "
    "accelerator, assumed for the others",
)

SHARE_OF_SERVER = 1 / 8
"""Modules come eight to a server: DGX and HGX of A100 to B200, and the servers of MI300X and Gaudi."""


def own_utilisation(share: float) -> Factor:
    """The user's own utilisation, beyond doubt; InputError unless it is above 0 and at most 1."""
    require(
        0 < share <= 1, InputError, f"a utilisation of {share}: give a share of the peak above 0 and up to 1"
    )
    return Factor(
        "plan/utilisation", share, share, share, "of peak", None, "given by the user", "measured", own=True
    )


def power(hardware: Hardware, *, server: bool, watts: float | None = None) -> tuple[Amount, Factor, str]:
    """Watts of one accelerator in use, the factor they come from, and what they cover.

    server: with its share of the server, where it shares one built for it; a card's server is not known.
    watts: the user's own figure, of all that he wants to count.
    """
    if watts is not None:
        require(0 < watts < float("inf"), InputError, f"{watts} W for {hardware.name}: give watts above 0")
        own = Factor("plan/watts", watts, watts, watts, "W", None, "given by the user", "measured", own=True)
        return own.amount, own, "what the given watts cover"
    if hardware.mean_watts is not None and hardware.least_watts is not None:
        measured = Factor(
            f"plan/watts/{hardware.key}",
            hardware.mean_watts,
            hardware.least_watts,
            hardware.watts,
            "W",
            hardware.year,
            hardware.source,
            "published",
        )
        return measured.amount, measured, "the accelerator alone"
    factor = SERVER_POWER if server and hardware.form == "module" else ALONE_POWER
    covers = "the server, its share" if factor is SERVER_POWER else "the accelerator alone"
    return factor.amount.scaled(hardware.watts, "W"), factor, covers

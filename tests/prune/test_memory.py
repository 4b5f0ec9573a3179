"""What pruning a large layer takes: the process's own peak, not what is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# The model and torch included: what a user's machine must have.
SCRIPT = """
import json, time, torch
import aerogel
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(11008, 4096, bias=False))
data = [torch.randn(256, 11008) for _ in range(4)]
found = aerogel.prune(model, 0.5, method="sparsegpt", data=data, inplace=True, precision=PRECISION)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([int(peak.split()[1]) * 1024, found.report.sparsity, found.report.layers[0].seconds]))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_layer_of_4096_x_11008_takes_less_than_2_gb(precision: str) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell a process's peak memory in /proc")
    script = SCRIPT.replace("PRECISION", repr(precision))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    peak, sparsity, _ = json.loads(done.stdout)
    assert peak < 2e9
    assert sparsity == 0.5

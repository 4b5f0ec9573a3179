"""Variables of the environment as bytes, for what looks at one in every call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_shown: Any = getattr(os, "environb", {})
# What `os.environ` keeps its values in: looking there takes a twentieth of the time of `os.environ.get`,
# which is as long as a product of tiny matrices. Where Python should not have it, the public way serves.
RAW: Mapping[bytes, bytes] = getattr(os.environ, "_data", _shown)

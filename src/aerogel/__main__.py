"""``python -m aerogel`` is the command ``aerogel``."""

from __future__ import annotations

import sys

from aerogel.cli import main

sys.exit(main())

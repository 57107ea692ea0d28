"""The one place that reads CMW_PURE, so that the pure packages need not know of the environment."""

from __future__ import annotations

import os


def pure_wanted() -> bool:
    """Tell whether CMW_PURE asks for the pure twins of the compiled modules."""
    return os.environ.get("CMW_PURE", "") not in ("", "0")

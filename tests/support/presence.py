"""What the tests expect of the machine that they run on."""

from __future__ import annotations

import os

REQUIRE_PEERS = os.environ.get("CMW_REQUIRE_PEERS", "") not in ("", "0")
"""Set by .ci/run: a peer program that is not installed then fails its tests instead of skipping them."""

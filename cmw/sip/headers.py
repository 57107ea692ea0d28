"""Header fields of a message: an ordered multi-dict with one spelling for each name. Source: RFC 3261 7.3.

`Headers` and the scanner are the compiled ones when they are built, else their twins in plain Python with the same
results; CMW_PURE=1 asks for the twins. A compiled module that is there but does not load is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmw._twin import pure_wanted
from cmw.sip.header_names import canonical_name

if TYPE_CHECKING or pure_wanted():
    import cmw.sip._scan_pure as scan
else:
    try:
        import cmw.sip._scan as scan
    except ModuleNotFoundError as error:
        if error.name != "cmw.sip._scan":
            raise
        import cmw.sip._scan_pure as scan

Headers = scan.Headers

__all__ = ["Headers", "canonical_name", "scan"]

"""Accounts as SIPp has them in the files of its ``-inf``.

The first line is ``SEQUENTIAL``, cells are parted by ``;`` and quotes have no meaning, and a cell may be
``[authentication username=NAME password=TEXT]``. With ``SEQUENTIAL,PRINTF=N`` there are N accounts, made of the lines
in turn: ``%d`` and the like stand for the number of the account, from 0 on, times ``PRINTFMULTIPLE`` (1) plus
``PRINTFOFFSET`` (0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HEAD = re.compile(r"SEQUENTIAL(?:[,;].*)?|(?:RANDOM|USER)(?:[,;]\s*(?:PRINTF[A-Z]*\s*=.*)?)?", re.ASCII)
_OPTION = re.compile(r"\s*(PRINTF(?:MULTIPLE|OFFSET)?)\s*=\s*([0-9]{1,9})\s*", re.ASCII)
_NUMBER = re.compile(r"%(0?[0-9]{0,2})d", re.ASCII)
_AUTHENTICATION = re.compile(r"\[authentication\b(?P<inside>.*)\]", re.ASCII)
_PART = re.compile(r"(?<!\S)(?P<name>username|password)=(?:\"(?P<quoted>[^\"]*)\"|(?P<plain>[^ \]]*))", re.ASCII)


def is_sipp_head(line: str) -> bool:
    """Tell whether a first line is that of a file of SIPp."""
    return _HEAD.fullmatch(line.strip()) is not None


@dataclass(frozen=True, slots=True)
class SippOrder:
    """What the first line says.

    Args:
        count: how many accounts are made of the lines; None: one of each.
    """

    count: int | None = None
    multiple: int = 1
    offset: int = 0

    @classmethod
    def parse(cls, head: str) -> SippOrder:
        """Return what a first line says.

        Raises:
            ValueError: it is another order, or has an option that is not known.
        """
        order, *options = re.split("[,;]", head.strip())
        if order != "SEQUENTIAL":
            raise ValueError(f"found the order {order}, expected SEQUENTIAL: accounts are dealt one after the other")
        known = {"PRINTF": "count", "PRINTFMULTIPLE": "multiple", "PRINTFOFFSET": "offset"}
        found: dict[str, int] = {}
        for option in filter(str.strip, options):
            match = _OPTION.fullmatch(option)
            if match is None:
                expected = "expected PRINTF=N, PRINTFMULTIPLE=N or PRINTFOFFSET=N"
                raise ValueError(f"found {option.strip()[:80]!r} beside SEQUENTIAL, {expected}")
            found[known[match[1]]] = int(match[2])
        return cls(**found)

    def rows(self, lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
        """Yield the accounts, username first, each with the number from 1 of the line that it is of."""
        used = [
            (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")
        ]  # fmt: skip
        for k in range(len(used) if self.count is None else self.count if used else 0):
            number, line = used[k % len(used)]
            text = line if self.count is None else _numbered(line, k * self.multiple + self.offset)
            yield number, _account([cell.strip() for cell in text.strip().removesuffix(";").split(";")])


def is_cut(cells: Sequence[str]) -> bool:
    """Tell whether a ``;`` cut an authentication in two, which SIPp does as well: its parts are no account."""
    return any(cell.startswith("[authentication") for cell in cells[1:])


def _numbered(line: str, value: int) -> str:
    return _NUMBER.sub(lambda form: format(value, f"{form[1]}d"), line)


def _account(cells: list[str]) -> list[str]:
    """Return the cells in our order; where one is an authentication, the others but the first say nothing of it."""
    found = next(filter(None, map(_AUTHENTICATION.fullmatch, cells[1:])), None)
    if found is None:
        return cells
    parts = {part["name"]: part["quoted"] or part["plain"] or "" for part in _PART.finditer(found["inside"])}
    username, password = parts.get("username") or cells[0], parts.get("password", "")
    return [cells[0], password, "", username] if username != cells[0] else [cells[0], password]

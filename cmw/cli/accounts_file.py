"""SIP accounts from a CSV file: ``username,password[,realm[,auth_username]]``; faults name FILE:LINE.

A file of SIPp is one too: see `cmw.cli.sipp_accounts`.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path as FilePath

from pydantic import ValidationError

from cmw.cli.document import Source, read_text
from cmw.cli.sipp_accounts import SippOrder, is_cut, is_sipp_head
from cmw.errors import SettingsError
from cmw.load.faults import Path, PlanError, Position
from cmw.load.plan import MAX_ACCOUNTS, Account

MAX_ACCOUNTS_BYTES = 16 << 20

ACCOUNT_COLUMNS = ("username", "password", "realm", "auth_username")

_HEADS = [list(ACCOUNT_COLUMNS[:count]) for count in (2, 3, 4)]


def read_accounts(path: str | FilePath) -> list[Account]:
    """Return the accounts of a CSV file.

    Raises:
        SettingsError: listing every fault with file and line.
    """
    source = Source()
    rows = read_account_rows(FilePath(path), (), source)
    accounts: list[Account] = []
    for k, row in enumerate(rows):
        try:
            accounts.append(Account.model_validate(row))
        except ValidationError:
            source.fault((), f"found a line that is no account, expected {', '.join(ACCOUNT_COLUMNS)}, each of 1 to "
                         "128 characters", source.positions[k,])  # fmt: skip
    if source.faults:
        raise PlanError(str(path), source.faults)
    return accounts


def read_account_rows(file: FilePath, path: Path, source: Source) -> list[dict[str, str]]:
    """Return the accounts: lines as above; a head line, blank lines and ``#`` are skipped."""
    text = read_text(file, MAX_ACCOUNTS_BYTES, "accounts file")
    accounts: list[dict[str, str]] = []
    source.positions[path] = Position(str(file), 1)
    lines = io.StringIO(text).readlines()
    if lines and is_sipp_head(lines[0]):
        return _read_sipp_rows(lines, file, path, source)
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            if not row or (len(row) == 1 and not row[0].strip()) or row[0].lstrip().startswith("#"):
                continue
            cells = [cell.strip() for cell in row]
            if not accounts and [cell.lower() for cell in cells] in _HEADS:
                continue
            if len(accounts) >= MAX_ACCOUNTS:
                raise SettingsError(f"{file}: found more than {MAX_ACCOUNTS} accounts, expected at most so many")
            _add_account(cells, Position(str(file), reader.line_num), path, accounts, source)
    except csv.Error as error:
        raise SettingsError(f"{file}:{reader.line_num}: not CSV: {error}") from error
    return accounts


def _read_sipp_rows(lines: list[str], file: FilePath, path: Path, source: Source) -> list[dict[str, str]]:
    accounts: list[dict[str, str]] = []
    try:
        order = SippOrder.parse(lines[0])
    except ValueError as error:
        source.fault(path, str(error), Position(str(file), 1))
        order = SippOrder()
    for number, cells in order.rows(lines[1:]):
        if len(accounts) >= MAX_ACCOUNTS:
            raise SettingsError(f"{file}: found more than {MAX_ACCOUNTS} accounts, expected at most so many")
        position = Position(str(file), number + 1)
        if is_cut(cells):
            told = "found '[authentication' without ']' in its cell, expected no ';' inside"
            source.fault((*path, len(accounts)), told, position)
            continue
        _add_account(cells, position, path, accounts, source)
    return accounts


def _add_account(
    cells: list[str], position: Position, path: Path, accounts: list[dict[str, str]], source: Source
) -> None:
    """Add one line of the file, or the fault of a line that has not two to four cells."""
    if not 2 <= len(cells) <= 4:
        found = f"{len(cells)} cell{'s' * (len(cells) > 1)}"
        source.fault(
            (*path, len(accounts)), f"found {found}, expected username,password[,realm[,auth_username]]", position
        )
        return
    source.positions[(*path, len(accounts))] = position
    account = zip(ACCOUNT_COLUMNS, cells, strict=False)
    accounts.append({name: cell for name, cell in account if cell or name in ACCOUNT_COLUMNS[:2]})

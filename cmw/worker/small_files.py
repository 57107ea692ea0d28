"""Files that settings name: read whole, at once, or refused; never a pipe to wait for."""

from __future__ import annotations

import os
import stat


def read_small(path: str, most_bytes: int) -> bytes:
    """Return what a regular file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, or larger than `most_bytes`; says so.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)  # a pipe would be waited for
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes} bytes")
    return data


def read_secret(path: str, most_bytes: int) -> str:
    """Return the text that a regular file holds, without space around it.

    Raises:
        OSError, ValueError: as `read_small`; or it holds nothing, or no text.
    """
    try:
        text = read_small(path, most_bytes).decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    if not text:
        raise ValueError("it holds nothing")
    if not text.isprintable():
        raise ValueError("it is not one line of text")
    return text

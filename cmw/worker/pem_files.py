"""Texts in PEM where a path is wanted: files in memory that no other process sees and no disk keeps."""

from __future__ import annotations

import contextlib
import os


class PemFiles:
    """Files that are there until `close`."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def add(self, text: str) -> str:
        """Return the path of a file with this text."""
        descriptor = os.memfd_create("cmw-pem", os.MFD_CLOEXEC)
        self._descriptors.append(descriptor)
        data = text.encode()
        while data:
            data = data[os.write(descriptor, data) :]
        return f"/proc/self/fd/{descriptor}"

    def close(self) -> None:
        """Let the files go."""
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()

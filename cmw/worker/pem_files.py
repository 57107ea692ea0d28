"""Texts in PEM where a path is wanted: files in memory that no other process sees and no disk keeps."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass


@dataclass(slots=True)
class _File:
    descriptor: int
    users: int = 0


class PemFiles:
    """One file for each text, for as long as anybody uses it: the same text has the same path."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def take(self, text: str) -> str:
        """Return the path of a file with this text, for `release`."""
        data = text.encode()
        digest = hashlib.sha256(data).hexdigest()
        file = self._files.get(digest)
        if file is None:
            file = self._files[digest] = _File(_write(data))
        file.users += 1
        return _path(file.descriptor)

    def release(self, path: str) -> None:
        """Let a file go that was taken."""
        for digest, file in list(self._files.items()):
            if _path(file.descriptor) == path:
                file.users -= 1
                if not file.users:
                    os.close(file.descriptor)
                    del self._files[digest]
                return


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _write(data: bytes) -> int:
    descriptor = os.memfd_create("cmw-pem", os.MFD_CLOEXEC)
    while data:
        data = data[os.write(descriptor, data) :]
    return descriptor

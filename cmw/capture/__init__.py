"""Captures: pcap and pcapng files to UDP datagrams. Pure: bytes in, values out; standard library only."""

from __future__ import annotations

from cmw.capture.datagram import Datagram, DatagramReader
from cmw.capture.frame import CaptureError, Frame
from cmw.capture.reader import read_frames

__all__ = ["CaptureError", "Datagram", "DatagramReader", "Frame", "read_frames"]

"""When the packets of one stream are due, and their headers. Twin of `RtpSender` in _rtp.pyx."""

from __future__ import annotations

import struct
from typing import Final

from cmw.core.clock import Nanos
from cmw.rtp.packet import HEADER_BYTES
from cmw.rtp.sequence import SEQ_MOD, TIMESTAMP_MOD, rtp_units

_HEADER: Final = struct.Struct("!BBHII")


class SendSchedule:
    """Packet k is due at `start_ns + k * period_ns` and always carries `timestamp + k * timestamp_step`.

    A packet that is too late is skipped as silence is (RFC 3550 5.1): the timestamp moves on, the sequence number
    does not. It was never sent, so no receiver may see a loss; who skipped it is said by `packets_skipped` alone.

    Args:
        period_ns: above 0.
        late_bound_ns: late by this or more is skipped; 1 .. period_ns, or 0 for a whole period. A bound above the
            period would let two packets of one stream be due at once: a burst.
        timestamp_step: RTP units in a packet.
    """

    def __init__(
        self,
        *,
        start_ns: Nanos,
        period_ns: Nanos,
        late_bound_ns: Nanos,
        ssrc: int,
        sequence: int,
        timestamp: int,
        timestamp_step: int,
        clock_hz: int,
        payload_type: int,
    ) -> None:
        self.start_ns = start_ns
        self.period_ns = period_ns
        self.late_bound_ns = late_bound_ns or period_ns
        self.ssrc = ssrc
        self.clock_hz = clock_hz
        self.payload_type = payload_type
        self.active = True
        self.lateness_ns = 0
        self.reference_ns = start_ns
        self.reference_timestamp = timestamp
        self.first_sent_ns: Nanos | None = None
        self.packets_sent = 0
        self.bytes_sent = 0
        self.packets_skipped = 0
        self.send_errors = 0
        self._first_timestamp = timestamp
        self._timestamp_step = timestamp_step
        self._sequence = sequence
        self._next_packet = 0
        self._marker_due = True  # RFC 3551 4.1: the first packet of a talkspurt
        self._last_payload_bytes = 0

    def change(self, *, payload_type: int, clock_hz: int, period_ns: Nanos, timestamp_step: int) -> None:
        """Send another format from the next packet on; its time, timestamp and sequence number stay its own.

        The next packet becomes the one of the same moment in the new count: sound that is cut otherwise goes on there.
        """
        elapsed_ns = self._next_packet * self.period_ns
        due = self.start_ns + elapsed_ns
        timestamp = self._first_timestamp + self._next_packet * self._timestamp_step
        if clock_hz != self.clock_hz:  # a report sees the new clock run towards the next packet's timestamp
            self.reference_ns = due - self.period_ns
            self.reference_timestamp = (timestamp - rtp_units(self.period_ns, clock_hz)) % TIMESTAMP_MOD
            self.clock_hz = clock_hz
        whole = self.late_bound_ns == self.period_ns
        self.late_bound_ns = period_ns if whole else min(self.late_bound_ns, period_ns)
        self._next_packet = elapsed_ns // period_ns
        self.start_ns = due - self._next_packet * period_ns
        self._first_timestamp = (timestamp - self._next_packet * timestamp_step) % TIMESTAMP_MOD
        self.period_ns = period_ns
        self._timestamp_step = timestamp_step
        self.payload_type = payload_type
        self._marker_due = True  # a decoder begins anew, as at a talkspurt

    def next_due(self) -> Nanos | None:
        """Return when the next packet is due; None when stopped."""
        return self.start_ns + self._next_packet * self.period_ns if self.active else None

    def pull_due(self, now: Nanos, slack_ns: Nanos) -> bool:
        """Tell whether a packet is to be stamped now; skip and count what is too late. `lateness_ns` is set."""
        due = self.next_due()
        if due is None:
            return False
        late_ns = now - due
        if late_ns >= self.late_bound_ns:
            skip = (late_ns - self.late_bound_ns) // self.period_ns + 1
            self._next_packet += skip
            self.packets_skipped += skip
            self._marker_due = True
            late_ns -= skip * self.period_ns
        self.lateness_ns = late_ns
        return late_ns >= -slack_ns

    def stamp(self, packet: bytearray) -> None:
        """Write the next header of the schedule into `packet`, count it as sent and move on."""
        self._stamp_due(packet, self.next_timestamp, self._marker_due)
        self._marker_due = False

    def stamp_event(self, packet: bytearray, payload_type: int, timestamp: int, marker: bool) -> None:
        """Write the header of an event that leaves instead of the next packet of the schedule, which moves on.

        A sender report tells the time of the stream, not of the event.
        """
        of_schedule, audio = self.next_timestamp, self.payload_type
        self.payload_type = payload_type
        self._stamp_due(packet, timestamp, marker)
        self.payload_type = audio
        self.reference_timestamp = of_schedule

    def _stamp_due(self, packet: bytearray, timestamp: int, marker: bool) -> None:
        due = self.start_ns + self._next_packet * self.period_ns
        self.stamp_as(packet, timestamp, marker, now=due)
        if self.packets_sent == 1:
            self.first_sent_ns = due + self.lateness_ns
        self._next_packet += 1

    def keep_back(self) -> None:
        """Let the next packet of the schedule pass unsent: silence, which is no skip."""
        self._marker_due = True
        self._next_packet += 1

    @property
    def next_packet(self) -> int:
        """Return the number of the next packet of the schedule."""
        return self._next_packet

    @property
    def next_timestamp(self) -> int:
        """Return the timestamp that the next packet of the schedule has."""
        return (self._first_timestamp + self._next_packet * self._timestamp_step) % TIMESTAMP_MOD

    @property
    def timestamp_step(self) -> int:
        """Return the RTP units in a packet."""
        return self._timestamp_step

    @property
    def first_timestamp(self) -> int:
        """Return the timestamp of packet 0."""
        return self._first_timestamp

    def stamp_as(self, packet: bytearray, timestamp: int, marker: bool, *, now: Nanos) -> None:
        """Write a header out of schedule: the caller brings timestamp and marker."""
        second = marker << 7 | self.payload_type
        _HEADER.pack_into(packet, 0, 0x80, second, self._sequence, timestamp, self.ssrc)
        self._sequence = (self._sequence + 1) % SEQ_MOD
        self._last_payload_bytes = len(packet) - HEADER_BYTES
        self.packets_sent += 1
        self.bytes_sent += self._last_payload_bytes
        self.reference_timestamp = timestamp
        self.reference_ns = now
        if self.packets_sent == 1:
            self.first_sent_ns = now

    def timestamp_at(self, now: Nanos) -> int:
        """Return the timestamp of this instant on the clock of what was sent last."""
        since = rtp_units(now - self.reference_ns, self.clock_hz)
        return (self.reference_timestamp + since) % TIMESTAMP_MOD

    def send_failed(self) -> None:
        """Take the last stamp back: the packet never left, so its sequence number is used again."""
        self._sequence = (self._sequence - 1) % SEQ_MOD
        self.packets_sent -= 1
        self.bytes_sent -= self._last_payload_bytes
        self._last_payload_bytes = 0
        self.send_errors += 1
        self._marker_due = True  # its time was silence, as after a skip

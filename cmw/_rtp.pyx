# cython: language_level=3
"""The compiled media core: pacing, header stamping, receive statistics and RTCP of many streams. No I/O.

Twin: cmw/rtp/_pure.py and the modules it is made of say the same in plain Python and are the specification.
`_rtp.pxd` is the contents page: every structure with its units, every function. Source: RFC 3550 5.1, 6, A.1-A.3, A.8.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport ceil, fabs, log2, sqrt
from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy, memmove, memset

from cmw.errors import LocalProtocolError

from cmw._rtp_events cimport *


cdef enum:
    SEQ_MOD = 65536
    MAX_DROPOUT = 3000              # RFC 3550 A.1
    MAX_MISORDER = 100              # RFC 3550 A.1
    WINDOW_BITS = 128               # more than MAX_MISORDER: every packet that is not held has its bit
    JITTER_BITS = 12                # jitter_q12
    GMIN = 16                       # RFC 3611 4.7.2: so many packets received in a row end a burst
    COMFORT_NOISE = 13              # RFC 3389
    JUMP_PER_SECOND = 10            # a step of the timestamp may be 1/10 s away from what explains it
    RTCP_SR = 200
    RTCP_RR = 201
    RTCP_SDES = 202
    RTCP_BYE = 203
    RTCP_XR = 207
    XR_REFERENCE_TIME = 4           # block types, RFC 3611 4
    XR_DELAY_SINCE = 5
    XR_SUMMARY = 6
    XR_VOIP = 7
    XR_UNAVAILABLE = 127
    XR_SUMMARY_FLAGS = 0xE0         # loss, duplicates, jitter; no TTL
    RTCP_BANDWIDTH = 500            # bytes a second: 5 % of a G.711 stream with its headers, RFC 3550 6.2
    RTCP_LOWER_LAYERS = 28          # bytes of UDP and IPv4 with each control packet
    RTCP_FIRST_SIZE = 128           # bytes that our first control packet probably has
    MIN_CLOCK_SAMPLES = 3
    HISTOGRAM_SCALE = 6
    HISTOGRAM_FIRST_INDEX = -640

cdef int64_t SECOND_NS = 1_000_000_000
cdef int64_t SPACING_BUCKET_NS = 250_000_000
cdef int64_t RTCP_INTERVAL_NS = 5_000_000_000      # RFC 3550 6.2, Tmin
cdef int64_t RTCP_MEMBER_NS = 25_000_000_000       # RFC 3550 6.3.5: a peer silent for five intervals is no member
cdef int64_t RTCP_SENDER_NS = 10_000_000_000       # and one without RTP for two is no sender
cdef int64_t MAX_BUFFER_NS = 10_000_000_000
cdef double NTP_SECOND = 4294967296.0
cdef int64_t RTT_FLOOR_Q16 = -655                  # -10 ms: what rounding of two clocks' fractions may explain
cdef int64_t NTP_UNIX_OFFSET_S = 2_208_988_800     # RFC 868
cdef int64_t BASE_NS = 10_000_000_000              # the fastest transit is that of one or two such spans
cdef int64_t PAUSE_NS = 1_000_000_000              # a packet that much later may be one of a sender that stood still
cdef int64_t LATE_LIMIT_MAX_NS = 60_000_000_000
cdef int64_t CLOCK_HZ_MAX = 10_000_000             # beyond it, a second in 1/256 RTP unit times 1e9 leaves 63 bits

# cmw.rtp.snapshot is imported at first use: its package chooses between the twins and so imports this module.
cdef object _StreamSnapshot = None
cdef object _ReceptionBlock = None
cdef object _parse_voip = None
cdef object _parse_summary = None
cdef object _EndedEvent = None
cdef object _EventPacket = None
cdef object _require_order = None


@cython.final
cdef class StreamTable:
    """The streams of one thread, by slot. Same names and results as cmw.rtp._pure.StreamTable.

    Args:
        slots: how many streams it can hold, 1 or more.
    """

    cdef int32_t capacity
    cdef RtpSender* senders
    cdef RtpReceiver* receivers
    cdef RtcpSession* sessions
    cdef uint8_t* used              # slot is open
    cdef int64_t* due_ns            # of the next packet: pull_due scans this array alone
    cdef Histogram lateness_us

    def __cinit__(self, int slots):
        if slots < 1:
            raise ValueError(f"slots: expected 1 or more, got {slots}")
        self.senders = <RtpSender*>PyMem_Calloc(slots, sizeof(RtpSender))
        self.receivers = <RtpReceiver*>PyMem_Calloc(slots, sizeof(RtpReceiver))
        self.sessions = <RtcpSession*>PyMem_Calloc(slots, sizeof(RtcpSession))
        self.used = <uint8_t*>PyMem_Calloc(slots, 1)
        self.due_ns = <int64_t*>PyMem_Calloc(slots, sizeof(int64_t))
        if not (self.senders and self.receivers and self.sessions and self.used and self.due_ns):
            raise MemoryError
        self.capacity = slots
        for slot in range(slots):
            self.due_ns[slot] = INT64_MAX
        histogram_clear(&self.lateness_us)

    def __dealloc__(self):
        PyMem_Free(self.senders)
        PyMem_Free(self.receivers)
        PyMem_Free(self.sessions)
        PyMem_Free(self.used)
        PyMem_Free(self.due_ns)

    def __len__(self):
        return self.capacity

    # --- commands

    def open(
        self, int slot, *, int64_t start_ns, int64_t period_ns, int64_t late_bound_ns=0, uint32_t ssrc,
        uint16_t sequence, uint32_t timestamp, uint32_t timestamp_step, uint32_t clock_hz, uint8_t payload_type,
        uint8_t event_payload_type=NO_PAYLOAD_TYPE, bytes cname=b"", int64_t unix_offset_ns=0, uint64_t seed=0,
        int64_t late_limit_ns=LATE_LIMIT_NS, buffer=(40_000_000, 20_000_000, 200_000_000), bint extended_reports=False
    ):
        """Open `slot` for one stream in both directions; the first packet is due at `start_ns`."""
        self.require_free(slot)
        if period_ns < 1:
            raise ValueError(f"period_ns: expected 1 or more, got {period_ns}")
        if not 0 <= late_bound_ns <= period_ns:
            raise ValueError(f"late_bound_ns: expected 0 .. {period_ns}, got {late_bound_ns}")
        require_payload(clock_hz, payload_type)
        if len(cname) > 255:
            raise ValueError(f"cname: expected up to 255 bytes, got {len(cname)}")
        if not 0 <= late_limit_ns <= LATE_LIMIT_MAX_NS:
            raise ValueError(f"late_limit_ns: expected 0 .. {LATE_LIMIT_MAX_NS}, got {late_limit_ns}")
        cdef BufferSettings settings
        settings.start_ns, settings.min_ns, settings.max_ns = buffer
        if not 0 <= settings.min_ns <= settings.start_ns <= settings.max_ns <= MAX_BUFFER_NS:
            raise ValueError(f"buffer: expected 0 <= min <= start <= max <= {MAX_BUFFER_NS}, got {tuple(buffer)}")
        rtp_sender_open(
            &self.senders[slot], start_ns, period_ns, late_bound_ns, ssrc, sequence, timestamp, timestamp_step,
            clock_hz, payload_type)
        rtp_receiver_open(&self.receivers[slot], clock_hz, payload_type, event_payload_type, late_limit_ns, &settings)
        rtcp_open(
            &self.sessions[slot], <const uint8_t*>PyBytes_AS_STRING(cname), <uint8_t>len(cname), unix_offset_ns, seed,
            start_ns, extended_reports)
        self.used[slot] = 1
        self.due_ns[slot] = start_ns

    def stop(self, int slot):
        """Send nothing more in `slot`; receiving and RTCP go on."""
        self.require_open(slot)
        rtp_sender_stop(&self.senders[slot])
        self.due_ns[slot] = INT64_MAX

    def close(self, int slot):
        """Free `slot`."""
        self.require_open(slot)
        self.used[slot] = 0
        self.due_ns[slot] = INT64_MAX

    def change_payload(
        self, int slot, *, uint8_t payload_type, uint8_t event_payload_type=NO_PAYLOAD_TYPE, uint32_t clock_hz
    ):
        """Measure another payload type from now on, as a new offer and answer agreed; the counters go on."""
        require_payload(clock_hz, payload_type)
        self.require_open(slot)
        rtp_change_payload(&self.receivers[slot], clock_hz, payload_type, event_payload_type)

    def change_sending(
        self, int slot, *, uint8_t payload_type, uint32_t clock_hz, int64_t period_ns, uint32_t timestamp_step
    ):
        """Send another format from the next packet on; its time, timestamp and sequence number stay its own."""
        require_payload(clock_hz, payload_type)
        if period_ns < 1:
            raise ValueError(f"period_ns: expected 1 or more, got {period_ns}")
        self.require_open(slot)
        rtp_sender_change(&self.senders[slot], period_ns, timestamp_step, clock_hz, payload_type)

    # --- sending

    def pull_due(self, int64_t now, int64_t slack_ns, int32_t[::1] out not None):
        """Write the slots whose packet is due by `now + slack_ns` into `out`, each once; return how many."""
        cdef int32_t found
        with nogil:
            found = self.scan_due(now, slack_ns, out)
        return found

    def next_due(self):
        """Return when the next packet of any slot is due, or None."""
        cdef int64_t soonest = INT64_MAX
        cdef int32_t slot
        for slot in range(self.capacity):
            if self.due_ns[slot] < soonest:
                soonest = self.due_ns[slot]
        return None if soonest == INT64_MAX else soonest

    def stamp(self, int slot, bytearray packet not None):
        """Write the header of the next packet of `slot` into the first 12 bytes of `packet` and count it as sent."""
        cdef Py_ssize_t size = self.require_packet(slot, packet)
        rtp_stamp(&self.senders[slot], <uint8_t*>PyByteArray_AS_STRING(packet), <uint32_t>(size - RTP_HEADER_BYTES))
        self.due_ns[slot] = rtp_next_due(&self.senders[slot])

    def stamp_as(self, int slot, bytearray packet not None, uint32_t timestamp, bint marker, *, int64_t now):
        """Write a header out of schedule, for echo: with this timestamp and marker, and the next sequence number."""
        cdef Py_ssize_t size = self.require_packet(slot, packet)
        rtp_stamp_as(
            &self.senders[slot], <uint8_t*>PyByteArray_AS_STRING(packet), <uint32_t>(size - RTP_HEADER_BYTES),
            timestamp, marker, now)

    def next_timestamp(self, int slot):
        """Return the timestamp that the next packet of the schedule has."""
        self.require_open(slot)
        return rtp_next_timestamp(&self.senders[slot])

    def stamp_event(
        self, int slot, bytearray packet not None, uint8_t payload_type, uint32_t timestamp, bint marker
    ):
        """Write the header of an event that leaves instead of the next packet of the schedule."""
        self.require_packet(slot, packet)
        rtp_stamp_event(
            &self.senders[slot], <uint8_t*>PyByteArray_AS_STRING(packet), payload_type, timestamp, marker)
        self.due_ns[slot] = rtp_next_due(&self.senders[slot])

    def send_failed(self, int slot):
        """Take the last stamp of `slot` back: the packet never left."""
        self.require_open(slot)
        rtp_send_failed(&self.senders[slot])

    # --- receiving

    def receive(self, int slot, bytes data not None, int64_t arrival_ns):
        """Count one packet of the media port; return its PacketVerdict as an int."""
        cdef RtpHeader header
        if not 0 <= slot < self.capacity or not self.used[slot]:
            self.require_open(slot)
        return <int>rtp_receive(
            &self.receivers[slot], <const uint8_t*>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), arrival_ns,
            &header)

    def receive_rtcp(self, int slot, bytes data not None, int64_t arrival_ns):
        """Take one compound packet of the control port; return its ControlVerdict as an int."""
        self.require_open(slot)
        return <int>rtcp_receive(
            &self.senders[slot], &self.receivers[slot], &self.sessions[slot],
            <const uint8_t*>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), arrival_ns)

    # --- control

    def rtcp_due(self, int slot, *, int64_t now):
        """Tell whether `slot` has a control packet to send; may put it off. Source: RFC 3550 6.3.6."""
        self.require_open(slot)
        return bool(rtcp_due(&self.senders[slot], &self.receivers[slot], &self.sessions[slot], now))

    def next_rtcp_due(self, int slot):
        """Return when the next control packet of `slot` is due, or None after BYE."""
        self.require_open(slot)
        cdef int64_t due_ns = self.sessions[slot].next_due_ns
        return None if due_ns == INT64_MAX else due_ns

    def build_rtcp(self, int slot, *, int64_t now, bint bye=False):
        """Return SR or RR with SDES, and BYE at the end; close the report interval and schedule the next report."""
        cdef uint8_t packet[RTCP_MAX_BYTES]
        self.require_open(slot)
        cdef size_t size = rtcp_build(
            &self.senders[slot], &self.receivers[slot], &self.sessions[slot], now, bye, packet)
        return PyBytes_FromStringAndSize(<char*>packet, <Py_ssize_t>size)

    def rate(self, int slot, rating):
        """Say this `VoipRating` of the received stream in extended reports from now on."""
        cdef VoipRating found
        self.require_open(slot)
        (found.signal_level_db, found.noise_level_db, found.r_factor, found.mos_lq_q10, found.mos_cq_q10) = rating
        self.sessions[slot].rating = found

    def close_interval(self, int slot, *, int64_t now):
        """Return the report block as of `now` and begin the next interval; None when nothing was ever received."""
        self.require_open(slot)
        cdef ReceptionReport report
        if not self.receivers[slot].started:
            return None
        close_report_interval(&self.receivers[slot], &self.sessions[slot], now, &report)
        load_types()
        return _ReceptionBlock(
            report.ssrc, report.fraction_lost, report.packets_lost, report.ext_highest_seq, report.jitter, report.lsr,
            report.dlsr)

    # --- looking

    def snapshot(self, int slot):
        """Return the StreamSnapshot of `slot`; changes nothing."""
        self.require_open(slot)
        return stream_snapshot(&self.senders[slot], &self.receivers[slot], &self.sessions[slot])

    def pacing(self):
        """Return the histogram of lateness in microseconds, as cmw.metrics.histogram reads it."""
        return histogram_dict(&self.lateness_us)

    # --- private

    cdef int32_t scan_due(self, int64_t now, int64_t slack_ns, int32_t[::1] out) noexcept nogil:
        cdef int32_t found = 0
        cdef int32_t slot
        cdef int64_t horizon = now + slack_ns
        for slot in range(self.capacity):
            if self.due_ns[slot] > horizon:
                continue
            if found == out.shape[0]:
                break
            if rtp_pull_due(&self.senders[slot], now, slack_ns):
                out[found] = slot
                found += 1
                histogram_record(&self.lateness_us, <double>self.senders[slot].lateness_ns / 1000.0)
            self.due_ns[slot] = rtp_next_due(&self.senders[slot])
        return found

    cdef int require_open(self, int slot) except -1:
        if not 0 <= slot < self.capacity:
            raise IndexError(f"slot: expected 0 .. {self.capacity - 1}, got {slot}")
        if not self.used[slot]:
            raise LocalProtocolError(f"slot {slot} is not open")
        return 0

    cdef int require_free(self, int slot) except -1:
        if not 0 <= slot < self.capacity:
            raise IndexError(f"slot: expected 0 .. {self.capacity - 1}, got {slot}")
        if self.used[slot]:
            raise LocalProtocolError(f"slot {slot} is open already")
        return 0

    cdef Py_ssize_t require_packet(self, int slot, bytearray packet) except -1:
        self.require_open(slot)
        cdef Py_ssize_t size = PyByteArray_GET_SIZE(packet)
        if size < RTP_HEADER_BYTES:
            raise ValueError(f"packet: expected {RTP_HEADER_BYTES} bytes or more, got {size}")
        return size


@cython.final
cdef class EventSender:
    """Turns queued digits into packets. Same names and results as cmw.rtp.telephone_event.EventSender."""

    cdef RtpEventSender state

    def __len__(self):
        return self.state.count

    def queue(self, int64_t code, *, int64_t payload_type, int64_t volume, int64_t duration, int64_t pause):
        """Send a digit after those before it."""
        cdef EventOrder order
        load_types()
        _require_order(code, payload_type, volume, duration, pause)
        order.code, order.payload_type, order.volume = <uint8_t>code, <uint8_t>payload_type, <uint8_t>volume
        order.duration, order.pause = <uint32_t>duration, <uint32_t>pause
        if not events_queue(&self.state, &order):
            raise LocalProtocolError(f"expected up to {EVENT_QUEUE} digits at once, found more")

    def drop(self):
        """Forget every digit that is not complete; return how many these were."""
        cdef int dropped = self.state.count
        events_drop(&self.state)
        return dropped

    def next_packet(self, uint32_t timestamp, uint32_t step):
        """Return what leaves now; None for audio."""
        cdef EventPacket out
        if not events_next(&self.state, timestamp, step, &out):
            return None
        load_types()
        return _EventPacket(
            out.payload[:EVENT_BYTES], out.payload_type, out.timestamp, bool(out.marker), bool(out.is_over))


@cython.final
cdef class EventReceiver:
    """Recognises each event once. Same names and results as cmw.rtp.telephone_event.EventReceiver."""

    cdef RtpEventReceiver state

    def receive(self, bytes payload not None, uint32_t timestamp, int64_t arrival_ns):
        """Take a packet; return what ended with it."""
        cdef EndedEvent out[2]
        cdef int count = events_receive(
            &self.state, <const uint8_t*>PyBytes_AS_STRING(payload), <uint32_t>len(payload), timestamp, arrival_ns, out)
        load_types()
        return [_EndedEvent(out[i].code, out[i].duration) for i in range(count)]

    def expire(self, int64_t now):
        """Return the event that ended because nothing more of it came."""
        cdef EndedEvent out
        load_types()
        return [_EndedEvent(out.code, out.duration)] if events_expire(&self.state, now, &out) else []


cdef int require_payload(uint32_t clock_hz, uint8_t payload_type) except -1:
    if not 1 <= clock_hz <= CLOCK_HZ_MAX:
        raise ValueError(f"clock_hz: expected 1 .. {CLOCK_HZ_MAX}, got {clock_hz}")
    if payload_type > 127:
        raise ValueError(f"payload_type: expected 0 .. 127, got {payload_type}")
    return 0


# --- sending ---------------------------------------------------------------------------------------------------------

cdef void rtp_sender_open(
    RtpSender* sender, int64_t start_ns, int64_t period_ns, int64_t late_bound_ns, uint32_t ssrc, uint16_t sequence,
    uint32_t timestamp, uint32_t timestamp_step, uint32_t clock_hz, uint8_t payload_type
) noexcept nogil:
    memset(sender, 0, sizeof(RtpSender))
    sender.start_ns = start_ns
    sender.period_ns = period_ns
    # A bound above the period would let two packets of one stream be due at once: a burst.
    sender.late_bound_ns = late_bound_ns if 0 < late_bound_ns <= period_ns else period_ns
    sender.reference_ns = start_ns
    sender.reference_timestamp = timestamp
    sender.first_timestamp = timestamp
    sender.timestamp_step = timestamp_step
    sender.clock_hz = clock_hz
    sender.ssrc = ssrc
    sender.sequence = sequence
    sender.payload_type = payload_type
    sender.marker_due = 1           # RFC 3551 4.1: the first packet of a talkspurt
    sender.active = 1


cdef bint rtp_pull_due(RtpSender* sender, int64_t now_ns, int64_t slack_ns) noexcept nogil:
    # A packet that is too late is skipped as silence is (RFC 3550 5.1): the timestamp moves on, the sequence number
    # does not. It was never sent, so no receiver may see a loss; who skipped it is said by packets_skipped alone.
    if not sender.active:
        return False
    cdef int64_t late_ns = now_ns - rtp_next_due(sender)
    cdef int64_t skip
    if late_ns >= sender.late_bound_ns:
        skip = (late_ns - sender.late_bound_ns) // sender.period_ns + 1
        sender.next_packet += skip
        sender.packets_skipped += skip
        sender.marker_due = 1
        late_ns -= skip * sender.period_ns
    sender.lateness_ns = late_ns
    return late_ns >= -slack_ns


cdef int64_t rtp_next_due(const RtpSender* sender) noexcept nogil:
    if not sender.active:
        return INT64_MAX
    return sender.start_ns + sender.next_packet * sender.period_ns


cdef void rtp_stamp(RtpSender* sender, uint8_t* packet, uint32_t payload_bytes) noexcept nogil:
    cdef uint32_t timestamp = rtp_next_timestamp(sender)
    cdef int64_t due_ns = sender.start_ns + sender.next_packet * sender.period_ns
    rtp_stamp_as(sender, packet, payload_bytes, timestamp, sender.marker_due, due_ns)
    if sender.packets_sent == 1:
        sender.first_sent_ns += sender.lateness_ns
    sender.marker_due = 0
    sender.next_packet += 1


#     0                   1                   2                   3
#     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
#    |                           timestamp                           |
#    |           synchronization source (SSRC) identifier            |      RFC 3550 5.1
cdef void rtp_stamp_as(
    RtpSender* sender, uint8_t* packet, uint32_t payload_bytes, uint32_t timestamp, bint marker, int64_t now_ns
) noexcept nogil:
    packet[0] = 0x80
    packet[1] = sender.payload_type | (0x80 if marker else 0)
    put16(packet + 2, sender.sequence)
    put32(packet + 4, timestamp)
    put32(packet + 8, sender.ssrc)
    sender.sequence += 1
    sender.packets_sent += 1
    sender.bytes_sent += payload_bytes
    sender.last_payload_bytes = payload_bytes
    sender.reference_timestamp = timestamp
    sender.reference_ns = now_ns
    if sender.packets_sent == 1:
        sender.first_sent_ns = now_ns


cdef void rtp_stamp_event(
    RtpSender* sender, uint8_t* packet, uint8_t payload_type, uint32_t timestamp, bint marker
) noexcept nogil:
    cdef uint32_t of_schedule = rtp_next_timestamp(sender)
    cdef int64_t due_ns = sender.start_ns + sender.next_packet * sender.period_ns
    cdef uint8_t audio = sender.payload_type
    sender.payload_type = payload_type
    rtp_stamp_as(sender, packet, EVENT_BYTES, timestamp, marker, due_ns)
    sender.payload_type = audio
    if sender.packets_sent == 1:
        sender.first_sent_ns += sender.lateness_ns
    sender.reference_timestamp = of_schedule   # a sender report tells the time of the stream, not of the event
    sender.next_packet += 1


cdef uint32_t rtp_next_timestamp(const RtpSender* sender) noexcept nogil:
    return sender.first_timestamp + <uint32_t>sender.next_packet * sender.timestamp_step


cdef uint32_t rtp_timestamp_at(const RtpSender* sender, int64_t now_ns) noexcept nogil:
    return sender.reference_timestamp + <uint32_t>rtp_units(now_ns - sender.reference_ns, sender.clock_hz, 0)


cdef void rtp_send_failed(RtpSender* sender) noexcept nogil:
    sender.sequence -= 1
    sender.packets_sent -= 1
    sender.bytes_sent -= sender.last_payload_bytes
    sender.last_payload_bytes = 0
    sender.send_errors += 1
    sender.marker_due = 1           # its time was silence, as after a skip


cdef void rtp_sender_stop(RtpSender* sender) noexcept nogil:
    sender.active = 0


cdef void rtp_sender_change(
    RtpSender* sender, int64_t period_ns, uint32_t timestamp_step, uint32_t clock_hz, uint8_t payload_type
) noexcept nogil:
    # The next packet becomes the one of the same moment in the new count: sound that is cut otherwise goes on there.
    cdef int64_t elapsed_ns = sender.next_packet * sender.period_ns
    cdef int64_t due_ns = sender.start_ns + elapsed_ns
    cdef uint32_t timestamp = sender.first_timestamp + <uint32_t>sender.next_packet * sender.timestamp_step
    if clock_hz != sender.clock_hz:     # a report sees the new clock run towards the next packet's timestamp
        sender.reference_ns = due_ns - sender.period_ns
        sender.reference_timestamp = timestamp - <uint32_t>rtp_units(sender.period_ns, clock_hz, 0)
        sender.clock_hz = clock_hz
    if sender.late_bound_ns == sender.period_ns or sender.late_bound_ns > period_ns:
        sender.late_bound_ns = period_ns
    sender.next_packet = elapsed_ns // period_ns
    sender.start_ns = due_ns - sender.next_packet * period_ns
    sender.first_timestamp = timestamp - <uint32_t>sender.next_packet * timestamp_step
    sender.period_ns = period_ns
    sender.timestamp_step = timestamp_step
    sender.payload_type = payload_type
    sender.marker_due = 1           # a decoder begins anew, as at a talkspurt


# --- receiving -------------------------------------------------------------------------------------------------------

cdef void rtp_receiver_open(
    RtpReceiver* receiver, uint32_t clock_hz, uint8_t payload_type, uint8_t event_payload_type, int64_t late_limit_ns,
    const BufferSettings* buffer
) noexcept nogil:
    cdef int i
    memset(receiver, 0, sizeof(RtpReceiver))
    receiver.clock_hz = clock_hz
    receiver.payload_type = payload_type
    receiver.event_payload_type = event_payload_type
    receiver.last_payload_type = NO_PAYLOAD_TYPE
    receiver.late_limit_ns = late_limit_ns
    receiver.late_limit_q8 = rtp_units(late_limit_ns, clock_hz, 8)
    receiver.buffer.settings = buffer[0]
    set_buffer_clock(&receiver.buffer, clock_hz)
    begin_differences(&receiver.differences)
    receiver.spacing_min_ns = INT64_MAX
    for i in range(SPACING_BUCKETS):
        receiver.spacing[i].index = -1


cdef BufferSettings usual_buffer() noexcept nogil:
    cdef BufferSettings settings
    settings.start_ns = 40_000_000
    settings.min_ns = 20_000_000
    settings.max_ns = 200_000_000
    return settings


cdef void rtp_change_payload(
    RtpReceiver* receiver, uint32_t clock_hz, uint8_t payload_type, uint8_t event_payload_type
) noexcept nogil:
    cdef int64_t before_hz = receiver.clock_hz
    receiver.payload_type = payload_type
    receiver.event_payload_type = event_payload_type
    receiver.timestamp_step = 0
    receiver.transit_known = 0
    receiver.anchor_known = 0
    receiver.may_have_paused = 0
    forget_lowest(receiver)
    if clock_hz == before_hz:
        return
    set_buffer_clock(&receiver.buffer, clock_hz)
    begin_differences(&receiver.differences)
    receiver.jitter_q12 = 0
    receiver.jitter_min_q12 = scaled(receiver.jitter_min_q12, clock_hz, before_hz)
    receiver.jitter_max_q12 = scaled(receiver.jitter_max_q12, clock_hz, before_hz)
    receiver.jitter_sum_q12 = receiver.jitter_sum_q12 * clock_hz / before_hz
    receiver.clock_hz = clock_hz
    receiver.late_limit_q8 = rtp_units(receiver.late_limit_ns, clock_hz, 8)


cdef inline int64_t scaled(int64_t value, int64_t factor, int64_t divisor) noexcept nogil:
    # value * factor / divisor rounded down without overflow of the product; value is 0 or above.
    return value // divisor * factor + value % divisor * factor // divisor


cdef RtpVerdict rtp_read_header(const uint8_t* data, size_t size, RtpHeader* header) noexcept nogil:
    return read_header(data, size, header)


cdef RtpVerdict rtp_receive(
    RtpReceiver* receiver, const uint8_t* data, size_t size, int64_t arrival_ns, RtpHeader* header
) noexcept nogil:
    cdef RtpVerdict verdict = read_header(data, size, header)
    cdef bint known_type
    cdef uint16_t ahead
    if verdict != RTP_OK:
        if verdict != RTP_IS_RTCP:
            receiver.malformed += 1
        return verdict
    known_type = header.payload_type == receiver.payload_type or header.payload_type == receiver.event_payload_type
    if not known_type:
        receiver.wrong_payload_type += 1
        if not receiver.started or header.ssrc != receiver.ssrc:
            return RTP_WRONG_PAYLOAD_TYPE
    if not receiver.started:
        begin_run(receiver, header.ssrc, header.seq)
        count_packet(receiver, header, arrival_ns, 0, 0, 1)
        return RTP_FIRST
    if header.ssrc != receiver.ssrc:
        return hold_or_switch(receiver, header, arrival_ns)
    if receiver.held.held and receiver.held.ssrc != receiver.ssrc:
        drop_held(receiver)         # the old source is alive: two sources that interleave are no switch
    ahead = <uint16_t>(header.seq - <uint16_t>receiver.max_ext_seq)
    if 0 < ahead < MAX_DROPOUT:
        move_window(receiver, ahead)
        count_packet(receiver, header, arrival_ns, ahead, 0, 1)
        verdict = RTP_OK
    elif 0 < ahead <= SEQ_MOD - MAX_MISORDER:
        return hold_or_switch(receiver, header, arrival_ns)
    else:
        verdict = mark_behind(receiver, <uint16_t>(0 - ahead))
        count_packet(receiver, header, arrival_ns, 0, <uint16_t>(0 - ahead), verdict == RTP_OUT_OF_ORDER)
    # In the sequence but not negotiated: counted as received, or the network would be blamed for its loss.
    return verdict if known_type else RTP_WRONG_PAYLOAD_TYPE


cdef inline RtpVerdict read_header(const uint8_t* data, size_t size, RtpHeader* header) noexcept nogil:
    cdef size_t offset
    cdef size_t padding = 0
    if size >= 2 and data[0] >> 6 == 2 and 192 <= data[1] <= 223:
        return RTP_IS_RTCP
    if size < RTP_HEADER_BYTES:
        return RTP_TOO_SHORT
    if data[0] >> 6 != 2:
        return RTP_BAD_VERSION
    offset = RTP_HEADER_BYTES + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        if offset + 4 > size:
            return RTP_BAD_LENGTH
        offset += 4 + 4 * <size_t>get16(data + offset + 2)
    if offset > size:
        return RTP_BAD_LENGTH
    if data[0] & 0x20:
        padding = data[size - 1]
        if padding == 0 or padding > size - offset:
            return RTP_BAD_PADDING
    header.marker = data[1] >> 7
    header.payload_type = data[1] & 0x7F
    header.seq = get16(data + 2)
    header.timestamp = get32(data + 4)
    header.ssrc = get32(data + 8)
    header.payload_offset = <uint32_t>offset
    header.payload_bytes = <uint32_t>(size - offset - padding)
    return RTP_OK


cdef void begin_run(RtpReceiver* receiver, uint32_t ssrc, uint16_t seq) noexcept nogil:
    # RFC 3550 A.1 init_seq. The first packet of a negotiated source counts at once (no probation): SDP named its
    # address, and every packet of the stream is then in our count, as in a capture's.
    receiver.ssrc = ssrc
    receiver.started = 1
    receiver.base_ext_seq = seq
    receiver.max_ext_seq = seq
    receiver.received = 0
    receiver.expected_prior = 0
    receiver.received_prior = 0
    receiver.window[0] = 1
    receiver.window[1] = 0
    receiver.discarded[0] = 0
    receiver.discarded[1] = 0
    receiver.loss_run = 0
    receiver.burst_gap.gap_from = seq
    receiver.transit_known = 0
    receiver.anchor_known = 0
    receiver.may_have_paused = 0
    forget_lowest(receiver)
    receiver.timestamp_step = 0


cdef void move_window(RtpReceiver* receiver, uint16_t ahead) noexcept nogil:
    cdef int _step
    for _step in range(ahead):
        # The packet at the far end is now late by more than MAX_MISORDER: missing for good when it has not come.
        if not (receiver.window[1] & ~receiver.discarded[1]) >> 63 or receiver.loss_run:
            leave_window(receiver, WINDOW_BITS - 1)
        receiver.window[1] = receiver.window[1] << 1 | receiver.window[0] >> 63
        receiver.window[0] <<= 1
        receiver.discarded[1] = receiver.discarded[1] << 1 | receiver.discarded[0] >> 63
        receiver.discarded[0] <<= 1
        receiver.max_ext_seq += 1
    receiver.window[0] |= 1


cdef void leave_window(RtpReceiver* receiver, int behind) noexcept nogil:
    cdef int64_t ext_seq = receiver.max_ext_seq - behind
    cdef bint came = (receiver.window[behind >> 6] >> (behind & 63)) & 1
    if ext_seq < receiver.base_ext_seq:
        return
    if not came or (receiver.discarded[behind >> 6] >> (behind & 63)) & 1:
        record_unheard(&receiver.burst_gap, ext_seq)
    if came:
        receiver.loss_run = 0
        return
    receiver.loss_run += 1
    if receiver.loss_run == 1:
        receiver.loss_bursts += 1
    if receiver.loss_run > receiver.longest_loss_burst:
        receiver.longest_loss_burst = receiver.loss_run


cdef void record_unheard(BurstGap* found, int64_t ext_seq) noexcept nogil:
    # RFC 3611 4.7.2: a burst begins and ends with a loss and has fewer than Gmin packets received in a row.
    found.unheard_packets += 1
    if found.lost and ext_seq - found.last <= GMIN:
        if ext_seq - found.last > 1:
            found.unheard_rows += 1
        found.lost += 1
        found.last = ext_seq
        return
    settle_losses(found)
    found.unheard_rows += 1
    found.first = ext_seq
    found.last = ext_seq
    found.lost = 1


cdef void settle_losses(BurstGap* found) noexcept nogil:
    if found.lost == 1:
        found.gap_lost += 1
    elif found.lost:
        close_gap(found, found.first)
        found.bursts += 1
        found.burst_packets += found.last + 1 - found.first
        found.burst_lost += found.lost
        found.gap_from = found.last + 1
    found.lost = 0


cdef void close_gap(BurstGap* found, int64_t end) noexcept nogil:
    if end > found.gap_from:
        found.gaps += 1
        found.gap_packets += end - found.gap_from
        found.gap_from = end


cdef RtpVerdict mark_behind(RtpReceiver* receiver, uint16_t behind) noexcept nogil:
    cdef uint64_t bit = <uint64_t>1 << (behind & 63)
    cdef uint64_t* word = &receiver.window[behind >> 6]
    if word[0] & bit:
        receiver.duplicate_packets += 1
        return RTP_DUPLICATE
    word[0] |= bit
    receiver.out_of_order_packets += 1
    return RTP_OUT_OF_ORDER


cdef void count_packet(
    RtpReceiver* receiver, const RtpHeader* header, int64_t arrival_ns, uint16_t ahead, uint16_t behind, bint fresh
) noexcept nogil:
    # `ahead` of the highest before it, or `behind` the highest; `fresh` but for duplicates.
    cdef int64_t late_q8
    cdef int64_t spacing_ns = arrival_ns - receiver.last_arrival_ns
    cdef bint first = receiver.received + receiver.received_before == 0
    cdef bint in_order
    receiver.received += 1
    receiver.bytes_received += header.payload_bytes
    in_order = ahead > 0 or receiver.received == 1
    if header.payload_type == receiver.payload_type:
        if in_order:
            check_timestamp(receiver, header, arrival_ns)
        if ahead and header.marker and ends_silence(receiver, header, spacing_ns, ahead):
            receiver.transit_known = 0
        update_jitter(receiver, header.timestamp, arrival_ns)
        if fresh:
            late_q8 = relative_transit(receiver, arrival_ns)
            receiver.late_packets += late_q8 > receiver.late_limit_q8
            if not buffer_receive(&receiver.buffer, late_q8):
                receiver.discarded[behind >> 6] |= <uint64_t>1 << (behind & 63)
    if in_order:
        receiver.last_timestamp = header.timestamp
        note_payload_type(receiver, header.payload_type)
    if first:
        receiver.first_arrival_ns = arrival_ns
        receiver.last_arrival_ns = arrival_ns
    elif spacing_ns >= 0:
        count_spacing(receiver, spacing_ns, arrival_ns)
        receiver.last_arrival_ns = arrival_ns


cdef inline void note_payload_type(RtpReceiver* receiver, uint8_t payload_type) noexcept nogil:
    if payload_type == receiver.last_payload_type or payload_type == receiver.event_payload_type:
        return
    if payload_type == COMFORT_NOISE:
        return
    if receiver.last_payload_type != NO_PAYLOAD_TYPE:
        receiver.payload_type_changes += 1
    receiver.last_payload_type = payload_type


cdef void check_timestamp(RtpReceiver* receiver, const RtpHeader* header, int64_t arrival_ns) noexcept nogil:
    # RFC 3550 5.1: the timestamp runs with the codec's clock, in silence too.
    cdef int64_t step = <int32_t>(header.timestamp - receiver.anchor_timestamp)
    cdef int64_t packets = receiver.max_ext_seq - receiver.anchor_ext_seq
    cdef int64_t elapsed_ns = arrival_ns - receiver.anchor_arrival_ns
    cdef bint known = receiver.anchor_known
    receiver.anchor_known = 1
    receiver.anchor_timestamp = header.timestamp
    receiver.anchor_ext_seq = receiver.max_ext_seq
    receiver.anchor_arrival_ns = arrival_ns
    if not known:
        return
    if not explains(receiver, step, packets, elapsed_ns):
        receiver.timestamp_jumps += 1
        receiver.may_have_paused = 0
        forget_lowest(receiver)
        return
    if packets == 1 and step > 0:
        receiver.timestamp_step = <uint32_t>step
    if receiver.may_have_paused or header.marker or elapsed_ns > PAUSE_NS:
        check_pause(receiver, step, rtp_units(elapsed_ns, receiver.clock_hz, 0), header.marker)


cdef void check_pause(RtpReceiver* receiver, int64_t step, int64_t elapsed, bint marker) noexcept nogil:
    # A sender whose clock stood still while it was silent, on hold say, comes late by that and keeps its pace. What the
    # network kept back comes in a row instead, and is late. A marker tells at once.
    cdef bint paused = receiver.may_have_paused and 4 * elapsed >= 3 * step
    receiver.may_have_paused = not marker and elapsed - step > rtp_units(PAUSE_NS, receiver.clock_hz, 0)
    if paused or (marker and elapsed - step > receiver.clock_hz // JUMP_PER_SECOND):
        forget_lowest(receiver)


cdef inline bint explains(
    const RtpReceiver* receiver, int64_t step, int64_t packets, int64_t elapsed_ns
) noexcept nogil:
    cdef int64_t bound = receiver.clock_hz // JUMP_PER_SECOND
    cdef int64_t off = step - packets * receiver.timestamp_step
    if receiver.timestamp_step and -bound <= off <= bound:
        return True
    off = step - rtp_units(elapsed_ns, receiver.clock_hz, 0)
    return -bound <= off <= bound


cdef inline int64_t relative_transit(RtpReceiver* receiver, int64_t arrival_ns) noexcept nogil:
    # Delay against the fastest packet of the last 10 to 20 s, in 1/256 RTP unit: no clock drifts far in that time.
    cdef int64_t span = arrival_ns // BASE_NS
    cdef int64_t delay_q8
    if span != receiver.base_span:
        receiver.lowest_before_q8 = receiver.lowest_q8
        receiver.lowest_before_known = receiver.lowest_known and span == receiver.base_span + 1
        receiver.lowest_known = 0
        receiver.base_span = span
    if not receiver.lowest_known or signed40(receiver.transit_q8 - receiver.lowest_q8) < 0:
        receiver.lowest_q8 = receiver.transit_q8
        receiver.lowest_known = 1
    delay_q8 = signed40(receiver.transit_q8 - receiver.lowest_q8)
    if receiver.lowest_before_known:
        delay_q8 = max(delay_q8, signed40(receiver.transit_q8 - receiver.lowest_before_q8))
    return delay_q8


cdef inline void forget_lowest(RtpReceiver* receiver) noexcept nogil:
    receiver.lowest_known = 0
    receiver.lowest_before_known = 0
    receiver.buffer.mean_q12 = 0
    receiver.buffer.deviation_q12 = 0


cdef void set_buffer_clock(JitterBuffer* buffer, int64_t clock_hz) noexcept nogil:
    buffer.delay_q8 = rtp_units(buffer.settings.start_ns, clock_hz, 8)
    buffer.min_q8 = rtp_units(buffer.settings.min_ns, clock_hz, 8)
    buffer.max_q8 = rtp_units(buffer.settings.max_ns, clock_hz, 8)
    buffer.mean_q12 = 0
    buffer.deviation_q12 = 0


cdef inline bint buffer_receive(JitterBuffer* buffer, int64_t late_q8) noexcept nogil:
    # Played when it comes no later after the fastest than the buffer waits. See cmw/rtp/jitter_buffer.py.
    cdef bint played = late_q8 <= buffer.delay_q8
    cdef int64_t off_q8 = late_q8 - (buffer.mean_q12 >> 4)
    cdef int64_t wanted_q8
    buffer.mean_q12 += late_q8 - ((buffer.mean_q12 + 8) >> 4)
    buffer.deviation_q12 += (off_q8 if off_q8 >= 0 else -off_q8) - ((buffer.deviation_q12 + 8) >> 4)
    buffer.pushed += played
    buffer.late += not played
    if buffer.settings.min_ns == buffer.settings.max_ns:
        return played
    wanted_q8 = (buffer.mean_q12 + 4 * buffer.deviation_q12) >> 4
    if not played:
        wanted_q8 = max(wanted_q8, late_q8)
    wanted_q8 = max(buffer.min_q8, min(wanted_q8, buffer.max_q8))
    if wanted_q8 >= buffer.delay_q8:
        buffer.delay_q8 = wanted_q8
    else:
        buffer.delay_q8 -= (buffer.delay_q8 - wanted_q8 + 255) >> 8
    return played


cdef void begin_differences(TransitDifferences* found) noexcept nogil:
    found.count = 0
    found.lowest_q8 = INT64_MAX
    found.highest_q8 = 0
    found.sum_q8 = 0.0
    found.squares_q16 = 0.0


cdef inline int64_t signed40(uint64_t difference) noexcept nogil:
    # In 1/256 RTP unit, modulo 2^32 units: a wrap of the timestamp does not show.
    return <int64_t>(difference << 24) >> 24


cdef bint ends_silence(
    const RtpReceiver* receiver, const RtpHeader* header, int64_t spacing_ns, uint16_t ahead
) noexcept nogil:
    # A marker opens a talkspurt (RFC 3551 4.1). After a gap in media time or in arrivals the sender may have set its
    # clock anew, which says nothing about the network. A marker on every packet, or at the end of a video frame, is
    # no gap.
    cdef int64_t step = receiver.timestamp_step
    if step == 0:
        return False
    if <int32_t>(header.timestamp - receiver.last_timestamp) > ahead * step:
        return True
    return rtp_units(spacing_ns, receiver.clock_hz, 0) > (ahead + 1) * step


cdef void update_jitter(RtpReceiver* receiver, uint32_t timestamp, int64_t arrival_ns) noexcept nogil:
    # RFC 3550 A.8 in 1/256 of an RTP unit: whole units (125 us at 8 kHz) would round a jitter of 20 us to 0 or to 60.
    cdef uint64_t transit_q8 = <uint64_t>rtp_units(arrival_ns, receiver.clock_hz, 8) - (<uint64_t>timestamp << 8)
    cdef int64_t d_q8 = signed40(transit_q8 - receiver.transit_q8)
    receiver.transit_q8 = transit_q8
    if not receiver.transit_known:
        receiver.transit_known = 1
        return
    if d_q8 < 0:
        d_q8 = -d_q8
    receiver.differences.count += 1
    receiver.differences.lowest_q8 = min(receiver.differences.lowest_q8, d_q8)
    receiver.differences.highest_q8 = max(receiver.differences.highest_q8, d_q8)
    receiver.differences.sum_q8 += <double>d_q8
    receiver.differences.squares_q16 += <double>d_q8 * <double>d_q8
    receiver.jitter_q12 += d_q8 - ((receiver.jitter_q12 + 8) >> 4)
    if receiver.jitter_count == 0 or receiver.jitter_q12 < receiver.jitter_min_q12:
        receiver.jitter_min_q12 = receiver.jitter_q12
    if receiver.jitter_q12 > receiver.jitter_max_q12:
        receiver.jitter_max_q12 = receiver.jitter_q12
    receiver.jitter_sum_q12 += <double>receiver.jitter_q12
    receiver.jitter_count += 1


cdef void count_spacing(RtpReceiver* receiver, int64_t spacing_ns, int64_t arrival_ns) noexcept nogil:
    cdef int64_t index = arrival_ns // SPACING_BUCKET_NS
    cdef SpacingBucket* bucket = &receiver.spacing[0]
    if bucket.index != index:
        memmove(bucket + 1, bucket, (SPACING_BUCKETS - 1) * sizeof(SpacingBucket))
        bucket.index = index
        bucket.count = 0
        bucket.sum_ns = 0
        bucket.min_ns = spacing_ns
        bucket.max_ns = spacing_ns
    bucket.count += 1
    bucket.sum_ns += spacing_ns
    bucket.min_ns = min(bucket.min_ns, spacing_ns)
    bucket.max_ns = max(bucket.max_ns, spacing_ns)
    receiver.spacing_min_ns = min(receiver.spacing_min_ns, spacing_ns)
    receiver.spacing_max_ns = max(receiver.spacing_max_ns, spacing_ns)


cdef RtpVerdict hold_or_switch(RtpReceiver* receiver, const RtpHeader* header, int64_t arrival_ns) noexcept nogil:
    # RFC 3550 A.1 bad_seq, for another source too (MIN_SEQUENTIAL is 2): one stray packet never moves the statistics.
    cdef HeldPacket* held = &receiver.held
    if held.held and held.ssrc == header.ssrc and header.seq == <uint16_t>(held.seq + 1):
        return restart(receiver, header, arrival_ns)
    if held.held:
        drop_held(receiver)
    held.held = 1
    held.ssrc = header.ssrc
    held.seq = header.seq
    held.timestamp = header.timestamp
    held.payload_type = header.payload_type
    held.payload_bytes = header.payload_bytes
    held.arrival_ns = arrival_ns
    return RTP_PROBATION


cdef void drop_held(RtpReceiver* receiver) noexcept nogil:
    if receiver.held.ssrc == receiver.ssrc:
        receiver.discarded_packets += 1
    else:
        receiver.strangers += 1
    receiver.held.held = 0


cdef RtpVerdict restart(RtpReceiver* receiver, const RtpHeader* header, int64_t arrival_ns) noexcept nogil:
    cdef HeldPacket held = receiver.held
    cdef RtpHeader first
    cdef bint new_source = held.ssrc != receiver.ssrc
    cdef uint16_t ahead = <uint16_t>(held.seq - <uint16_t>receiver.max_ext_seq)
    receiver.held.held = 0
    if new_source:
        receiver.ssrc_switches += 1
        receiver.jitter_q12 = 0
    elif ahead < SEQ_MOD // 2:
        receiver.sequence_number_jumps += 1
    else:
        receiver.sequence_number_resets += 1
    flush_window(receiver)
    receiver.expected_before += receiver.max_ext_seq - receiver.base_ext_seq + 1
    receiver.received_before += receiver.received
    begin_run(receiver, held.ssrc, held.seq)
    # The held packet was of this stream after all: both count, so that nothing is reported lost that came.
    memset(&first, 0, sizeof(RtpHeader))
    first.timestamp = held.timestamp
    first.payload_type = held.payload_type
    first.payload_bytes = held.payload_bytes
    count_packet(receiver, &first, held.arrival_ns, 0, 0, 1)
    move_window(receiver, 1)
    count_packet(receiver, header, arrival_ns, 1, 0, 1)
    return RTP_NEW_SSRC if new_source else RTP_RESYNC


cdef void flush_window(RtpReceiver* receiver) noexcept nogil:
    cdef int i
    for i in range(WINDOW_BITS - 1, -1, -1):
        leave_window(receiver, i)
    receiver.loss_run = 0
    settle_losses(&receiver.burst_gap)
    close_gap(&receiver.burst_gap, receiver.max_ext_seq + 1)


# --- control ---------------------------------------------------------------------------------------------------------

# One report block before it is written.
cdef struct ReceptionReport:
    uint32_t ssrc
    uint32_t fraction_lost          # in 1/256
    int32_t packets_lost            # clamped to 24 bits
    uint32_t ext_highest_seq
    uint32_t jitter                 # RTP units
    uint32_t lsr
    uint32_t dlsr                   # 1/65536 s
    int64_t received_interval       # packets


cdef void rtcp_open(
    RtcpSession* session, const uint8_t* cname, uint8_t cname_bytes, int64_t unix_offset_ns, uint64_t seed,
    int64_t now_ns, bint extended
) noexcept nogil:
    memset(session, 0, sizeof(RtcpSession))
    memcpy(session.cname, cname, cname_bytes)
    session.cname_bytes = cname_bytes
    session.unix_offset_ns = unix_offset_ns
    session.random_state = seed
    session.extended = extended
    session.sent_ns = now_ns
    session.average_q4 = RTCP_FIRST_SIZE << 4
    session.members = 1
    session.last_control_ns = -1
    session.control_interval_ns = -1
    session.summary_next_seq = -1
    memset(&session.rating, XR_UNAVAILABLE, sizeof(VoipRating))
    session.next_due_ns = now_ns + rtcp_interval(session, 1, 0, False)


cdef bint rtcp_due(
    const RtpSender* sender, const RtpReceiver* receiver, RtcpSession* session, int64_t now_ns
) noexcept nogil:
    # RFC 3550 6.3.6: when the time has come but the session has changed, put it off.
    cdef int64_t members, again_ns
    if now_ns < session.next_due_ns or session.next_due_ns == INT64_MAX:
        return False
    members = count_members(receiver, session, now_ns)
    again_ns = session.sent_ns + rtcp_interval(
        session, members, count_senders(sender, receiver, session, now_ns), is_sending(sender, session))
    session.members = members
    if again_ns <= now_ns:
        return True
    session.next_due_ns = again_ns
    return False


cdef inline bint is_sending(const RtpSender* sender, const RtcpSession* session) noexcept nogil:
    # RFC 3550 6.4: a packet left since the report before the previous one.
    return sender.packets_sent > session.sent_before


cdef int64_t count_members(const RtpReceiver* receiver, const RtcpSession* session, int64_t now_ns) noexcept nogil:
    cdef int64_t heard_ns = session.last_control_ns
    if receiver.started:
        heard_ns = max(heard_ns, receiver.last_arrival_ns)
    if session.peer_left or heard_ns < 0 or now_ns - heard_ns >= RTCP_MEMBER_NS:
        return 1
    return 2


cdef int64_t count_senders(
    const RtpSender* sender, const RtpReceiver* receiver, const RtcpSession* session, int64_t now_ns
) noexcept nogil:
    cdef int64_t senders = 1 if is_sending(sender, session) else 0
    if receiver.started and not session.peer_left and now_ns - receiver.last_arrival_ns < RTCP_SENDER_NS:
        senders += 1
    return senders


cdef int64_t rtcp_interval(RtcpSession* session, int64_t members, int64_t senders, bint we_sent) noexcept nogil:
    # RFC 3550 6.3.1: 0.5 .. 1.5 times Td, divided by e - 3/2 = 1.21828.
    # The random numbers are splitmix64: their only purpose is that sessions do not report in step.
    cdef int64_t share = 4          # of the bandwidth in quarters, and by how many
    cdef int64_t sharing = members
    cdef int64_t wanted_ns = RTCP_INTERVAL_NS if session.any_sent else RTCP_INTERVAL_NS // 2
    cdef uint64_t z
    if 4 * senders <= members:
        share = 1 if we_sent else 3
        sharing = senders if we_sent else members - senders
    wanted_ns = max(wanted_ns, sharing * session.average_q4 * SECOND_NS // (4 * share * RTCP_BANDWIDTH))
    session.random_state += 0x9E3779B97F4A7C15U
    z = session.random_state
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU
    cdef int64_t unit_q16 = <int64_t>((z ^ (z >> 31)) >> 48)
    return (wanted_ns * (32768 + unit_q16) >> 16) * 100_000 // 121_828


cdef inline void add_size(RtcpSession* session, size_t size) noexcept nogil:
    session.average_q4 += <int64_t>size + RTCP_LOWER_LAYERS - (session.average_q4 >> 4)     # RFC 3550 6.3.3


cdef void schedule_report(
    const RtpSender* sender, const RtpReceiver* receiver, RtcpSession* session, size_t size, int64_t now_ns
) noexcept nogil:
    cdef int64_t members = count_members(receiver, session, now_ns)
    add_size(session, size)
    session.sent_ns = now_ns
    session.any_sent = 1
    session.members = members
    session.next_due_ns = now_ns + rtcp_interval(
        session, members, count_senders(sender, receiver, session, now_ns), is_sending(sender, session))


cdef void reconsider_backwards(
    const RtpReceiver* receiver, RtcpSession* session, int64_t now_ns
) noexcept nogil:
    # RFC 3550 6.3.4: report sooner, as there are fewer.
    cdef int64_t members = count_members(receiver, session, now_ns)
    if members >= session.members or session.next_due_ns == INT64_MAX:
        return
    session.next_due_ns = now_ns + max(<int64_t>0, session.next_due_ns - now_ns) * members // session.members
    session.sent_ns = now_ns - max(<int64_t>0, now_ns - session.sent_ns) * members // session.members
    session.members = members


cdef size_t rtcp_build(
    RtpSender* sender, RtpReceiver* receiver, RtcpSession* session, int64_t now_ns, bint bye, uint8_t* out
) noexcept nogil:
    cdef ReceptionReport report
    cdef size_t size
    cdef bint sending = is_sending(sender, session)
    report.received_interval = 0
    if receiver.started:
        close_report_interval(receiver, session, now_ns, &report)
    size = put_sender_report(out, sender, session, now_ns) if sending else put_receiver_report(out, sender)
    if report.received_interval > 0:
        size += put_block(out + size, &report)
        out[0] |= 1
    put16(out + 2, <uint16_t>(size // 4 - 1))
    size += put_description(out + size, sender, session)
    if session.extended:
        size += put_extended(out + size, sender, receiver, session, now_ns)
    if bye:
        size += put_bye(out + size, sender)
        session.next_due_ns = INT64_MAX
    else:
        schedule_report(sender, receiver, session, size, now_ns)
    session.sent_before = session.sent_prior
    session.sent_prior = sender.packets_sent
    session.rtcp_sent += 1
    return size


cdef void close_report_interval(
    RtpReceiver* receiver, const RtcpSession* session, int64_t now_ns, ReceptionReport* report
) noexcept nogil:
    # RFC 3550 A.3. Two guards that the appendix leaves to its reader: an interval in which everything was lost is
    # 256/256 and does not fit 8 bits; a late packet or a duplicate can make an interval's loss negative, which is 0.
    cdef int64_t expected = receiver.max_ext_seq - receiver.base_ext_seq + 1
    cdef int64_t lost = expected - receiver.received
    cdef int64_t expected_interval = expected - receiver.expected_prior
    cdef int64_t received_interval = receiver.received - receiver.received_prior
    cdef int64_t lost_interval = expected_interval - received_interval
    cdef int64_t fraction = 0
    if expected_interval > 0 and lost_interval > 0:
        fraction = min((lost_interval << 8) // expected_interval, <int64_t>255)
    receiver.expected_prior = expected
    receiver.received_prior = receiver.received
    report.ssrc = receiver.ssrc
    report.fraction_lost = <uint32_t>fraction
    report.packets_lost = <int32_t>max(min(lost, <int64_t>0x7FFFFF), <int64_t>-0x800000)
    report.ext_highest_seq = <uint32_t>receiver.max_ext_seq
    report.jitter = <uint32_t>(receiver.jitter_q12 >> JITTER_BITS)
    report.received_interval = received_interval
    report.lsr = 0
    report.dlsr = 0
    if session.sr_known and session.sr_ssrc == receiver.ssrc:
        report.lsr = session.sr_ntp_middle
        report.dlsr = to_q16(now_ns - session.sr_arrival_ns)


#    |V=2|P|    RC   |   PT=SR=200   |             length            |
#    |                         SSRC of sender                        |
#    |              NTP timestamp, most significant word             |
#    |             NTP timestamp, least significant word             |
#    |                         RTP timestamp                         |
#    |                     sender's packet count                     |
#    |                      sender's octet count                     |      RFC 3550 6.4.1
cdef size_t put_sender_report(
    uint8_t* out, const RtpSender* sender, const RtcpSession* session, int64_t now_ns
) noexcept nogil:
    cdef uint64_t ntp = ntp_at(session, now_ns)
    out[0] = 0x80
    out[1] = RTCP_SR
    put32(out + 4, sender.ssrc)
    put32(out + 8, <uint32_t>(ntp >> 32))
    put32(out + 12, <uint32_t>ntp)
    put32(out + 16, rtp_timestamp_at(sender, now_ns))
    put32(out + 20, <uint32_t>sender.packets_sent)
    put32(out + 24, <uint32_t>sender.bytes_sent)
    return 28


cdef size_t put_receiver_report(uint8_t* out, const RtpSender* sender) noexcept nogil:
    out[0] = 0x80
    out[1] = RTCP_RR
    put32(out + 4, sender.ssrc)
    return 8


#    |                 SSRC_1 (SSRC of first source)                 |
#    | fraction lost |       cumulative number of packets lost       |
#    |           extended highest sequence number received           |
#    |                      interarrival jitter                      |
#    |                         last SR (LSR)                         |
#    |                   delay since last SR (DLSR)                  |      RFC 3550 6.4.1
cdef size_t put_block(uint8_t* out, const ReceptionReport* report) noexcept nogil:
    put32(out, report.ssrc)
    put32(out + 4, report.fraction_lost << 24 | (<uint32_t>report.packets_lost & 0xFFFFFF))
    put32(out + 8, report.ext_highest_seq)
    put32(out + 12, report.jitter)
    put32(out + 16, report.lsr)
    put32(out + 20, report.dlsr)
    return 24


cdef size_t put_description(uint8_t* out, const RtpSender* sender, const RtcpSession* session) noexcept nogil:
    # RFC 3550 6.5: one chunk with CNAME; the item list ends with one null byte or more, up to the next word.
    cdef size_t size = (8 + 2 + session.cname_bytes + 4) & ~<size_t>3
    memset(out, 0, size)
    out[0] = 0x81
    out[1] = RTCP_SDES
    put16(out + 2, <uint16_t>(size // 4 - 1))
    put32(out + 4, sender.ssrc)
    out[8] = 1
    out[9] = session.cname_bytes
    memcpy(out + 10, session.cname, session.cname_bytes)
    return size


cdef size_t put_bye(uint8_t* out, const RtpSender* sender) noexcept nogil:
    out[0] = 0x81
    out[1] = RTCP_BYE
    put16(out + 2, 1)
    put32(out + 4, sender.ssrc)
    return 8


#    |V=2|P|reserved |   PT=XR=207   |             length            |
#    |                              SSRC                             |
#    :                         report blocks                         :      RFC 3611 2
cdef size_t put_extended(
    uint8_t* out, const RtpSender* sender, RtpReceiver* receiver, RtcpSession* session, int64_t now_ns
) noexcept nogil:
    cdef uint64_t ntp = ntp_at(session, now_ns)
    cdef size_t size = 8
    put_block_head(out + size, XR_REFERENCE_TIME, 0, 2)
    put32(out + size + 4, <uint32_t>(ntp >> 32))
    put32(out + size + 8, <uint32_t>ntp)
    size += 12
    if session.reference_known:
        put_block_head(out + size, XR_DELAY_SINCE, 0, 3)
        put32(out + size + 4, session.reference_ssrc)
        put32(out + size + 8, session.reference_middle)
        put32(out + size + 12, to_q16(now_ns - session.reference_ns))
        size += 16
    if receiver.started:
        size += put_summary(out + size, receiver, session)
        size += put_voip(out + size, receiver, session)
    out[0] = 0x80
    out[1] = RTCP_XR
    put16(out + 2, <uint16_t>(size // 4 - 1))
    put32(out + 4, sender.ssrc)
    return size


cdef inline void put_block_head(uint8_t* out, uint8_t kind, uint8_t specific, uint16_t words) noexcept nogil:
    out[0] = kind
    out[1] = specific
    put16(out + 2, words)


#    |     BT=6      |L|D|J|ToH|rsvd.|       block length = 9        |
#    |                        SSRC of source                         |
#    |          begin_seq            |             end_seq           |
#    |                        lost_packets                           |
#    |                        dup_packets                            |
#    |              min_jitter, max_jitter, mean_jitter, dev_jitter  |
#    | min_ttl_or_hl | max_ttl_or_hl |mean_ttl_or_hl | dev_ttl_or_hl |      RFC 3611 4.6
cdef size_t put_summary(uint8_t* out, RtpReceiver* receiver, RtcpSession* session) noexcept nogil:
    cdef int64_t all_expected = receiver.expected_before + receiver.max_ext_seq - receiver.base_ext_seq + 1
    cdef int64_t all_received = receiver.received_before + receiver.received
    cdef int64_t duplicates = receiver.duplicate_packets - session.summary_duplicates
    cdef int64_t lost = all_expected - session.summary_expected - (all_received - session.summary_received) + duplicates
    cdef int64_t begin_seq = session.summary_next_seq
    if not receiver.base_ext_seq <= begin_seq <= receiver.max_ext_seq + 1:
        begin_seq = receiver.base_ext_seq
    put_block_head(out, XR_SUMMARY, XR_SUMMARY_FLAGS, 9)
    put32(out + 4, receiver.ssrc)
    put16(out + 8, <uint16_t>begin_seq)
    put16(out + 10, <uint16_t>(receiver.max_ext_seq + 1))
    put32(out + 12, <uint32_t>max(<int64_t>0, lost))
    put32(out + 16, <uint32_t>duplicates)
    put_differences(out + 20, &receiver.differences)
    put32(out + 36, 0)
    session.summary_next_seq = receiver.max_ext_seq + 1
    session.summary_expected = all_expected
    session.summary_received = all_received
    session.summary_duplicates = receiver.duplicate_packets
    return 40


cdef void put_differences(uint8_t* out, TransitDifferences* found) noexcept nogil:
    cdef double mean_q8, variance_q16
    if found.count == 0:
        memset(out, 0, 16)
        return
    mean_q8 = found.sum_q8 / <double>found.count
    variance_q16 = max(0.0, found.squares_q16 / <double>found.count - mean_q8 * mean_q8)
    put32(out, whole_units(found.lowest_q8))
    put32(out + 4, whole_units(found.highest_q8))
    put32(out + 8, whole_units(<int64_t>mean_q8))
    put32(out + 12, whole_units(<int64_t>sqrt(variance_q16)))
    begin_differences(found)


cdef inline uint32_t whole_units(int64_t value_q8) noexcept nogil:
    return <uint32_t>min(value_q8 >> 8, <int64_t>0xFFFFFFFF)


#    |     BT=7      |   reserved    |       block length = 8        |
#    |                        SSRC of source                         |
#    |   loss rate   | discard rate  | burst density |  gap density  |
#    |       burst duration          |         gap duration          |
#    |     round trip delay          |       end system delay        |
#    | signal level  |  noise level  |     RERL      |     Gmin      |
#    |   R factor    | ext. R factor |    MOS-LQ     |    MOS-CQ     |
#    |   RX config   |   reserved    |          JB nominal           |
#    |          JB maximum           |          JB abs max           |      RFC 3611 4.7
cdef size_t put_voip(uint8_t* out, const RtpReceiver* receiver, const RtcpSession* session) noexcept nogil:
    cdef RtpReceiver done = receiver[0]
    cdef const BurstGap* found = &done.burst_gap
    cdef int64_t expected = receiver.expected_before + receiver.max_ext_seq - receiver.base_ext_seq + 1
    cdef int64_t lost = expected - receiver.received_before - receiver.received + receiver.duplicate_packets
    cdef int64_t hz = receiver.clock_hz
    cdef int64_t step = receiver.timestamp_step
    cdef uint16_t delay_ms = block_ms(receiver.buffer.delay_q8, 256 * hz)
    cdef uint16_t max_ms = block_ms(receiver.buffer.max_q8, 256 * hz)
    flush_window(&done)
    put_block_head(out, XR_VOIP, 0, 8)
    put32(out + 4, receiver.ssrc)
    out[8] = share_q8(lost, expected)
    out[9] = share_q8(receiver.buffer.late, expected)
    out[10] = share_q8(found.burst_lost, found.burst_packets)
    out[11] = share_q8(found.gap_lost, found.gap_packets)
    put16(out + 12, block_ms(found.burst_packets * step, found.bursts * hz))
    put16(out + 14, block_ms(found.gap_packets * step, found.gaps * hz))
    put16(out + 16, block_ms(session.rtt_q16, 65536) if session.rtt_known else 0)
    put16(out + 18, <uint16_t>min(0xFFFF, delay_ms + block_ms(step, hz)))
    out[20] = <uint8_t>session.rating.signal_level_db
    out[21] = <uint8_t>session.rating.noise_level_db
    out[22] = XR_UNAVAILABLE        # of an echo nobody knows here
    out[23] = GMIN
    out[24] = session.rating.r_factor
    out[25] = XR_UNAVAILABLE        # nor of another network behind the peer
    out[26] = session.rating.mos_lq_q10
    out[27] = session.rating.mos_cq_q10
    out[28] = 2 << 4 if receiver.buffer.settings.min_ns == receiver.buffer.settings.max_ns else 3 << 4
    out[29] = 0
    put16(out + 30, delay_ms)
    put16(out + 32, max_ms)
    put16(out + 34, max_ms)
    return 36


cdef inline uint8_t share_q8(int64_t part, int64_t whole) noexcept nogil:
    if whole == 0 or part <= 0:
        return 0
    return <uint8_t>min(256 * part // whole, <int64_t>255)


cdef inline uint16_t block_ms(int64_t units, int64_t per_second) noexcept nogil:
    return <uint16_t>min(1000 * units // per_second, <int64_t>0xFFFF) if per_second else 0


cdef RtcpVerdict rtcp_receive(
    const RtpSender* sender, const RtpReceiver* receiver, RtcpSession* session, const uint8_t* data, size_t size,
    int64_t arrival_ns
) noexcept nogil:
    cdef RtcpVerdict verdict = check_compound(data, size)
    cdef size_t offset = 0
    cdef int count, i
    cdef const uint8_t* packet
    if verdict != RTCP_OK:
        session.rtcp_malformed += 1
        return verdict
    session.rtcp_received += 1
    add_size(session, size)
    if session.last_control_ns >= 0:
        session.control_interval_ns = max(<int64_t>0, arrival_ns - session.last_control_ns)
    session.last_control_ns = arrival_ns
    while offset < size:
        packet = data + offset
        count = packet[0] & 0x1F
        if packet[1] == RTCP_SR:
            take_sender_report(receiver, session, packet, arrival_ns)
            for i in range(count):
                take_block(sender, session, packet + 28 + 24 * i, arrival_ns)
        elif packet[1] == RTCP_RR:
            for i in range(count):
                take_block(sender, session, packet + 8 + 24 * i, arrival_ns)
        elif packet[1] == RTCP_BYE:
            for i in range(count):
                if receiver.started and get32(packet + 4 + 4 * i) == receiver.ssrc:
                    session.byes_received += 1
                    verdict = RTCP_BYE_RECEIVED
        elif packet[1] == RTCP_XR:
            take_extended(sender, session, packet, body_end(packet), arrival_ns)
        offset += 4 * (<size_t>get16(packet + 2) + 1)
    session.peer_left = verdict == RTCP_BYE_RECEIVED
    reconsider_backwards(receiver, session, arrival_ns)
    return verdict


cdef inline size_t body_end(const uint8_t* packet) noexcept nogil:
    # Bytes from the start of a checked packet to the end of its contents, padding left out.
    cdef size_t length = 4 * (<size_t>get16(packet + 2) + 1)
    return length - packet[length - 1] if packet[0] & 0x20 else length


cdef void take_extended(
    const RtpSender* sender, RtcpSession* session, const uint8_t* packet, size_t end, int64_t arrival_ns
) noexcept nogil:
    # RFC 3611 3: unknown blocks are passed over; one that runs past the end is none.
    cdef size_t at = 8
    cdef size_t size, row
    cdef const uint8_t* contents
    while at + 4 <= end:
        size = 4 * <size_t>get16(packet + at + 2)
        contents = packet + at + 4
        if at + 4 + size > end:
            return
        if packet[at] == XR_REFERENCE_TIME and size == 8:
            session.reference_known = 1
            session.reference_ssrc = get32(packet + 4)
            session.reference_middle = get32(contents + 2)
            session.reference_ns = arrival_ns
        elif packet[at] == XR_DELAY_SINCE:
            for row in range(size // 12):
                if get32(contents + 12 * row) == sender.ssrc:
                    take_round_trip(session, get32(contents + 12 * row + 4), get32(contents + 12 * row + 8), arrival_ns)
        elif size >= 4 and get32(contents) == sender.ssrc:
            if packet[at] == XR_VOIP and size == VOIP_BYTES:
                memcpy(session.remote.voip, contents, VOIP_BYTES)
                session.remote.voip_known = 1
            elif packet[at] == XR_SUMMARY and size == SUMMARY_BYTES:
                memcpy(session.remote.summary, contents, SUMMARY_BYTES)
                session.remote.summary_flags = packet[at + 1]
                session.remote.summary_known = 1
        at += 4 + size


cdef RtcpVerdict check_compound(const uint8_t* data, size_t size) noexcept nogil:
    # RFC 3550 A.2, and that every packet holds what its count promises.
    cdef size_t offset = 0
    cdef size_t length, room
    if size < 8:
        return RTCP_TOO_SHORT
    if data[0] >> 6 != 2:
        return RTCP_BAD_VERSION
    if data[1] != RTCP_SR and data[1] != RTCP_RR:
        return RTCP_BAD_FIRST_TYPE
    if data[0] & 0x20:
        return RTCP_BAD_PADDING
    while offset < size:
        if size - offset < 4:
            return RTCP_BAD_LENGTH
        if data[offset] >> 6 != 2:
            return RTCP_BAD_VERSION
        length = 4 * (<size_t>get16(data + offset + 2) + 1)
        if length > size - offset:
            return RTCP_BAD_LENGTH
        room = length
        if data[offset] & 0x20:
            room = data[offset + length - 1]
            if offset + length != size or room == 0 or room & 3 or room > length - 4:
                return RTCP_BAD_PADDING
            room = length - room
        if room < contents_bytes(data[offset + 1], data[offset] & 0x1F):
            return RTCP_BAD_LENGTH
        offset += length
    return RTCP_OK


cdef size_t contents_bytes(uint8_t packet_type, size_t count) noexcept nogil:
    if packet_type == RTCP_SR:
        return 28 + 24 * count
    if packet_type == RTCP_RR:
        return 8 + 24 * count
    if packet_type == RTCP_BYE:
        return 4 + 4 * count
    return 4


cdef void take_sender_report(
    const RtpReceiver* receiver, RtcpSession* session, const uint8_t* packet, int64_t arrival_ns
) noexcept nogil:
    cdef uint64_t ntp = <uint64_t>get32(packet + 8) << 32 | get32(packet + 12)
    if receiver.started and get32(packet + 4) != receiver.ssrc:     # of another program on the peer's host
        return
    if not session.sr_known or get32(packet + 4) != session.sr_ssrc:
        forget_clock(session)
    add_clock_sample(session, ntp, get32(packet + 16), arrival_ns, receiver.clock_hz)
    session.sr_known = 1
    session.sr_ssrc = get32(packet + 4)
    session.sr_ntp_middle = <uint32_t>(ntp >> 16)
    session.sr_arrival_ns = arrival_ns
    session.remote_packets_sent = get32(packet + 20)
    session.remote_bytes_sent = get32(packet + 24)


cdef void forget_clock(RtcpSession* session) noexcept nogil:
    session.sample_count = 0
    session.drift_known = 0
    session.skew_known = 0


cdef void add_clock_sample(
    RtcpSession* session, uint64_t ntp, uint32_t timestamp, int64_t arrival_ns, int64_t clock_hz
) noexcept nogil:
    # A report that lies a second or more beside the one before begins anew: one of the clocks was set.
    cdef ClockSample* last
    cdef int64_t rtp = timestamp
    cdef int64_t step
    cdef double span_s
    if ntp == 0:                    # RFC 3550 6.4.1: a sender without a wall clock
        return
    if session.sample_count:
        last = &session.samples[session.sample_count - 1]
        step = <int32_t>(timestamp - <uint32_t>last.rtp)
        rtp = last.rtp + step
        span_s = <double><int64_t>(ntp - last.ntp) / NTP_SECOND
        if not (span_s > 0.0 and fabs(<double>step / <double>clock_hz - span_s) < 1.0):
            forget_clock(session)
    if session.sample_count == CLOCK_SAMPLES:
        memmove(&session.samples[0], &session.samples[1], (CLOCK_SAMPLES - 1) * sizeof(ClockSample))
        session.sample_count -= 1
    last = &session.samples[session.sample_count]
    last.ntp = ntp
    last.rtp = rtp
    last.arrival_ns = arrival_ns
    session.sample_count += 1
    if session.sample_count >= MIN_CLOCK_SAMPLES:
        regress_clock(session, clock_hz)


cdef void regress_clock(RtcpSession* session, int64_t clock_hz) noexcept nogil:
    cdef double media[CLOCK_SAMPLES]
    cdef double wall[CLOCK_SAMPLES]
    cdef double ours[CLOCK_SAMPLES]
    cdef const ClockSample* first = &session.samples[0]
    cdef const ClockSample* sample
    cdef int i
    for i in range(session.sample_count):
        sample = &session.samples[i]
        media[i] = <double>(sample.rtp - first.rtp) / <double>clock_hz
        wall[i] = <double><int64_t>(sample.ntp - first.ntp) / NTP_SECOND
        ours[i] = <double>(sample.arrival_ns - first.arrival_ns) / 1e9
    session.drift_known = rate_error_ppm(wall, media, session.sample_count, &session.drift_ppm)
    session.skew_known = rate_error_ppm(ours, media, session.sample_count, &session.skew_ppm)


cdef bint rate_error_ppm(const double* x, const double* y, int count, double* found) noexcept nogil:
    # The slope of the line of least squares, less 1, in millionths.
    cdef double mean_x = 0.0
    cdef double mean_y = 0.0
    cdef double products = 0.0
    cdef double squares = 0.0
    cdef int i
    for i in range(count):
        mean_x += x[i]
        mean_y += y[i]
    mean_x /= <double>count
    mean_y /= <double>count
    for i in range(count):
        products += (x[i] - mean_x) * (y[i] - mean_y)
        squares += (x[i] - mean_x) * (x[i] - mean_x)
    if not squares > 0.0:
        return False
    found[0] = (products / squares - 1.0) * 1e6
    return True


cdef void take_block(
    const RtpSender* sender, RtcpSession* session, const uint8_t* block, int64_t arrival_ns
) noexcept nogil:
    if get32(block) != sender.ssrc:
        return
    session.report_known = 1
    session.remote_fraction_lost = block[4]
    session.remote_packets_lost = <int32_t>(get32(block + 4) << 8) >> 8
    session.remote_ext_seq = get32(block + 8)
    session.remote_jitter = get32(block + 12)
    take_round_trip(session, get32(block + 16), get32(block + 20), arrival_ns)


cdef void take_round_trip(RtcpSession* session, uint32_t middle, uint32_t held_q16, int64_t arrival_ns) noexcept nogil:
    cdef int32_t rtt_q16
    if middle == 0:                 # RFC 3550 6.4.1, RFC 3611 4.5: nothing of ours had come
        return
    rtt_q16 = <int32_t>(<uint32_t>(ntp_at(session, arrival_ns) >> 16) - middle - held_q16)
    if rtt_q16 >= RTT_FLOOR_Q16:
        session.rtt_known = 1
        session.rtt_q16 = <uint32_t>max(rtt_q16, 0)


# --- looking ---------------------------------------------------------------------------------------------------------

cdef void histogram_clear(Histogram* histogram) noexcept nogil:
    memset(histogram, 0, sizeof(Histogram))


cdef void histogram_record(Histogram* histogram, double value) noexcept nogil:
    cdef int64_t index
    if histogram.count == 0 or value < histogram.min:
        histogram.min = value
    if histogram.count == 0 or value > histogram.max:
        histogram.max = value
    histogram.count += 1
    histogram.sum += value
    if value <= 0.0:
        histogram.zero_count += 1
        return
    index = <int64_t>ceil(log2(value) * 64.0) - 1 - HISTOGRAM_FIRST_INDEX
    index = max(min(index, <int64_t>(HISTOGRAM_BUCKETS - 1)), <int64_t>0)
    histogram.buckets[index] += 1


cdef dict histogram_dict(const Histogram* histogram):
    cdef int first = 0
    cdef int end = HISTOGRAM_BUCKETS
    while first < end and histogram.buckets[first] == 0:
        first += 1
    while end > first and histogram.buckets[end - 1] == 0:
        end -= 1
    return {
        "scale": HISTOGRAM_SCALE,
        "zero_count": histogram.zero_count,
        "offset": first + HISTOGRAM_FIRST_INDEX if end > first else 0,
        "counts": [histogram.buckets[i] for i in range(first, end)],
        "count": histogram.count,
        "sum": histogram.sum,
        "min": histogram.min if histogram.count else None,
        "max": histogram.max if histogram.count else None,
    }


cdef object stream_snapshot(const RtpSender* sender, const RtpReceiver* receiver, const RtcpSession* session):
    cdef int64_t expected = receiver.expected_before
    cdef int64_t received = receiver.received_before + receiver.received
    cdef bint started = receiver.started
    cdef bint jittered = receiver.jitter_count > 0
    cdef bint spaced = received > 1 and receiver.spacing_min_ns != INT64_MAX
    cdef bint held_stranger = receiver.held.held and receiver.held.ssrc != receiver.ssrc
    cdef bint held_own = receiver.held.held and not held_stranger
    cdef int64_t span_ns = receiver.last_arrival_ns - receiver.first_arrival_ns
    cdef double hz = receiver.clock_hz
    cdef RtpReceiver done
    cdef const BurstGap* bursts = &done.burst_gap
    cdef double packet_ms = receiver.timestamp_step * 1000.0 / receiver.clock_hz
    cdef bint timed = started and receiver.timestamp_step != 0
    load_types()
    done = receiver[0]
    if started:
        expected += receiver.max_ext_seq - receiver.base_ext_seq + 1
        flush_window(&done)         # on the copy: what is missing now, were the stream to end here
    spacing = recent_spacing(receiver)
    return _StreamSnapshot(
        packets_sent=sender.packets_sent,
        bytes_sent=sender.bytes_sent,
        packets_skipped=sender.packets_skipped,
        send_errors=sender.send_errors,
        rtcp_sent=session.rtcp_sent,
        packets_received=received,
        bytes_received=receiver.bytes_received,
        packets_expected=expected,
        packets_lost=expected - received,
        duplicate_packets=receiver.duplicate_packets,
        out_of_order_packets=receiver.out_of_order_packets,
        sequence_number_resets=receiver.sequence_number_resets,
        sequence_number_jumps=receiver.sequence_number_jumps,
        ssrc_switches=receiver.ssrc_switches,
        discarded_packets=receiver.discarded_packets + held_own,
        jitter_ms=q12_to_ms(receiver.jitter_q12, hz) if jittered else None,
        jitter_min_ms=q12_to_ms(receiver.jitter_min_q12, hz) if jittered else None,
        jitter_mean_ms=q12_to_ms(receiver.jitter_sum_q12 / receiver.jitter_count, hz) if jittered else None,
        jitter_max_ms=q12_to_ms(receiver.jitter_max_q12, hz) if jittered else None,
        rtt_ms=session.rtt_q16 * 1000.0 / 65536.0 if session.rtt_known else None,
        remote_fraction_lost=session.remote_fraction_lost / 256.0 if session.report_known else None,
        remote_jitter_ms=session.remote_jitter * 1000.0 / sender.clock_hz if session.report_known else None,
        remote_packets_lost=session.remote_packets_lost if session.report_known else None,
        remote_packets_sent=session.remote_packets_sent if session.sr_known else None,
        rtcp_received=session.rtcp_received,
        rtcp_malformed=session.rtcp_malformed,
        byes_received=session.byes_received,
        first_sent_at_ns=sender.first_sent_ns if sender.packets_sent else None,
        first_packet_at_ns=receiver.first_arrival_ns if started else None,
        last_packet_at_ns=receiver.last_arrival_ns if started else None,
        strangers=receiver.strangers + held_stranger,
        wrong_payload_type=receiver.wrong_payload_type,
        malformed=receiver.malformed,
        packet_spacing_min_ms=spacing[0],
        packet_spacing_avg_ms=spacing[1],
        packet_spacing_max_ms=spacing[2],
        total_spacing_min_ms=receiver.spacing_min_ns / 1e6 if spaced else None,
        total_spacing_mean_ms=span_ns / 1e6 / (received - 1) if spaced else None,
        total_spacing_max_ms=receiver.spacing_max_ns / 1e6 if spaced else None,
        loss_bursts=done.loss_bursts,
        longest_loss_burst=done.longest_loss_burst,
        sequence_gap=longest_gap(receiver) if started else None,
        burst_density=ratio(bursts.burst_lost, bursts.burst_packets) if started else None,
        gap_density=ratio(bursts.gap_lost, bursts.gap_packets) if started else None,
        burst_duration_ms=ratio(bursts.burst_packets, bursts.bursts) * packet_ms if timed else None,
        gap_duration_ms=ratio(bursts.gap_packets, bursts.gaps) * packet_ms if timed else None,
        burst_ratio=burst_ratio(bursts, expected) if started else None,
        late_packets=receiver.late_packets,
        timestamp_jumps=receiver.timestamp_jumps,
        payload_type_changes=receiver.payload_type_changes,
        buffer_pushed=receiver.buffer.pushed,
        buffer_late=receiver.buffer.late,
        buffer_delay_ms=receiver.buffer.delay_q8 * 1000.0 / (256.0 * hz) if started else None,
        buffer_jitter_ms=q12_to_ms(receiver.buffer.deviation_q12, hz) if started else None,
        rtcp_interval_ms=session.control_interval_ns / 1e6 if session.control_interval_ns >= 0 else None,
        clock_drift_ppm=session.drift_ppm if session.drift_known else None,
        clock_skew_ppm=session.skew_ppm if session.skew_known else None,
        remote_voip=_parse_voip(session.remote.voip[:VOIP_BYTES]) if session.remote.voip_known else None,
        remote_summary=_parse_summary(session.remote.summary_flags, session.remote.summary[:SUMMARY_BYTES])
        if session.remote.summary_known
        else None,
        send_clock_hz=sender.clock_hz,
        ssrc=receiver.ssrc if started else None,
        ext_highest_seq=receiver.max_ext_seq if started else None,
    )


cdef int longest_gap(const RtpReceiver* receiver) noexcept nogil:
    cdef int longest = 0
    cdef int row = 0
    cdef int i
    for i in range(<int>min(<int64_t>WINDOW_BITS, receiver.max_ext_seq - receiver.base_ext_seq + 1)):
        row = 0 if (receiver.window[i >> 6] >> (i & 63)) & 1 else row + 1
        longest = max(longest, row)
    return longest


cdef double ratio(int64_t part, int64_t whole) noexcept nogil:
    return <double>part / <double>whole if whole else 0.0


cdef double burst_ratio(const BurstGap* bursts, int64_t expected) noexcept nogil:
    # ITU-T G.107 7.5: the mean row of unheard packets against that of random loss.
    cdef double unheard = <double>bursts.unheard_packets
    if bursts.unheard_rows == 0:
        return 1.0
    return max(1.0, unheard / <double>bursts.unheard_rows * (1.0 - unheard / <double>expected))


cdef tuple recent_spacing(const RtpReceiver* receiver):
    cdef int64_t newest = receiver.last_arrival_ns // SPACING_BUCKET_NS
    cdef int64_t count = 0
    cdef int64_t sum_ns = 0
    cdef int64_t min_ns = INT64_MAX
    cdef int64_t max_ns = 0
    cdef int i
    for i in range(SPACING_BUCKETS):
        if 0 <= newest - receiver.spacing[i].index < SPACING_BUCKETS and receiver.spacing[i].count:
            count += receiver.spacing[i].count
            sum_ns += receiver.spacing[i].sum_ns
            min_ns = min(min_ns, receiver.spacing[i].min_ns)
            max_ns = max(max_ns, receiver.spacing[i].max_ns)
    if count == 0:
        return None, None, None
    return min_ns / 1e6, sum_ns / 1e6 / count, max_ns / 1e6


cdef inline double q12_to_ms(double value_q12, double clock_hz) noexcept nogil:
    return value_q12 * 1000.0 / (4096.0 * clock_hz)


cdef int load_types() except -1:
    global _StreamSnapshot, _ReceptionBlock, _parse_voip, _parse_summary, _EndedEvent, _EventPacket, _require_order
    if _StreamSnapshot is None:
        from cmw.rtp.extended_report import parse_summary, parse_voip
        from cmw.rtp.snapshot import ReceptionBlock, StreamSnapshot
        from cmw.rtp.telephone_event import EndedEvent, EventPacket, require_order
        _EndedEvent = EndedEvent
        _EventPacket = EventPacket
        _require_order = require_order
        _ReceptionBlock = ReceptionBlock
        _parse_voip = parse_voip
        _parse_summary = parse_summary
        _StreamSnapshot = StreamSnapshot
    return 0


# --- arithmetic and bytes --------------------------------------------------------------------------------------------

cdef inline int64_t rtp_units(int64_t span_ns, int64_t clock_hz, int fraction_bits) noexcept nogil:
    # Exact and without overflow: whole seconds and the rest apart, rounded down below 0 too.
    cdef int64_t seconds = span_ns // SECOND_NS
    cdef int64_t rest_ns = span_ns - seconds * SECOND_NS
    if rest_ns < 0:
        rest_ns += SECOND_NS
        seconds -= 1
    cdef int64_t whole = <int64_t>(<uint64_t>(seconds * clock_hz) << fraction_bits)   # C has no left shift below 0
    return whole + ((rest_ns * clock_hz) << fraction_bits) // SECOND_NS


cdef inline uint64_t ntp_at(const RtcpSession* session, int64_t now_ns) noexcept nogil:
    cdef int64_t unix_ns = now_ns + session.unix_offset_ns
    cdef int64_t seconds = unix_ns // SECOND_NS
    cdef int64_t rest_ns = unix_ns - seconds * SECOND_NS
    if rest_ns < 0:
        rest_ns += SECOND_NS
        seconds -= 1
    return <uint64_t>(seconds + NTP_UNIX_OFFSET_S) << 32 | (<uint64_t>rest_ns << 32) // <uint64_t>SECOND_NS


cdef inline uint32_t to_q16(int64_t span_ns) noexcept nogil:
    if span_ns < 0:
        return 0
    if span_ns >= 65536 * SECOND_NS:
        return 0xFFFFFFFFU
    return <uint32_t>((<uint64_t>span_ns << 16) // <uint64_t>SECOND_NS)


cdef inline uint16_t get16(const uint8_t* data) noexcept nogil:
    return <uint16_t>(data[0] << 8 | data[1])


cdef inline uint32_t get32(const uint8_t* data) noexcept nogil:
    return <uint32_t>data[0] << 24 | <uint32_t>data[1] << 16 | <uint32_t>data[2] << 8 | data[3]


cdef inline void put16(uint8_t* out, uint16_t value) noexcept nogil:
    out[0] = <uint8_t>(value >> 8)
    out[1] = <uint8_t>(value & 0xFF)


cdef inline void put32(uint8_t* out, uint32_t value) noexcept nogil:
    out[0] = <uint8_t>(value >> 24)
    out[1] = <uint8_t>(value >> 16)
    out[2] = <uint8_t>(value >> 8)
    out[3] = <uint8_t>value

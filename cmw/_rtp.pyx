# cython: language_level=3
"""The compiled media core: pacing, header stamping, receive statistics and RTCP of many streams. No I/O.

Twin: cmw/rtp/_pure.py and the modules it is made of say the same in plain Python and are the specification.
`_rtp.pxd` is the contents page: every structure with its units, every function. Source: RFC 3550 5.1, 6, A.1-A.3, A.8.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport ceil, log2
from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy, memset

from cmw.errors import LocalProtocolError


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
    HISTOGRAM_SCALE = 6
    HISTOGRAM_FIRST_INDEX = -640

cdef int64_t SECOND_NS = 1_000_000_000
cdef int64_t SPACING_BUCKET_NS = 250_000_000
cdef int64_t RTCP_INTERVAL_NS = 5_000_000_000      # RFC 3550 6.2, Tmin
cdef int64_t RTT_FLOOR_Q16 = -655                  # -10 ms: what rounding of two clocks' fractions may explain
cdef int64_t NTP_UNIX_OFFSET_S = 2_208_988_800     # RFC 868
cdef int64_t BASE_NS = 10_000_000_000              # the fastest transit is that of one or two such spans
cdef int64_t LATE_LIMIT_MAX_NS = 60_000_000_000
cdef int64_t CLOCK_HZ_MAX = 10_000_000             # beyond it, a second in 1/256 RTP unit times 1e9 leaves 63 bits

# cmw.rtp.snapshot is imported at first use: its package chooses between the twins and so imports this module.
cdef object _StreamSnapshot = None
cdef object _ReceptionBlock = None


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
        int64_t late_limit_ns=LATE_LIMIT_NS
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
        rtp_sender_open(
            &self.senders[slot], start_ns, period_ns, late_bound_ns, ssrc, sequence, timestamp, timestamp_step,
            clock_hz, payload_type)
        rtp_receiver_open(&self.receivers[slot], clock_hz, payload_type, event_payload_type, late_limit_ns)
        rtcp_open(
            &self.sessions[slot], <const uint8_t*>PyBytes_AS_STRING(cname), <uint8_t>len(cname), unix_offset_ns, seed,
            start_ns)
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
        """Tell whether `slot` has a control packet to send."""
        self.require_open(slot)
        return bool(rtcp_due(&self.sessions[slot], now))

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
    cdef uint32_t timestamp = sender.first_timestamp + <uint32_t>sender.next_packet * sender.timestamp_step
    cdef int64_t due_ns = sender.start_ns + sender.next_packet * sender.period_ns
    rtp_stamp_as(sender, packet, payload_bytes, timestamp, sender.marker_due, due_ns)
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


cdef void rtp_send_failed(RtpSender* sender) noexcept nogil:
    sender.sequence -= 1
    sender.packets_sent -= 1
    sender.bytes_sent -= sender.last_payload_bytes
    sender.last_payload_bytes = 0
    sender.send_errors += 1
    sender.marker_due = 1           # its time was silence, as after a skip


cdef void rtp_sender_stop(RtpSender* sender) noexcept nogil:
    sender.active = 0


# --- receiving -------------------------------------------------------------------------------------------------------

cdef void rtp_receiver_open(
    RtpReceiver* receiver, uint32_t clock_hz, uint8_t payload_type, uint8_t event_payload_type, int64_t late_limit_ns
) noexcept nogil:
    cdef int i
    memset(receiver, 0, sizeof(RtpReceiver))
    receiver.clock_hz = clock_hz
    receiver.payload_type = payload_type
    receiver.event_payload_type = event_payload_type
    receiver.last_payload_type = NO_PAYLOAD_TYPE
    receiver.late_limit_ns = late_limit_ns
    receiver.late_limit_q8 = rtp_units(late_limit_ns, clock_hz, 8)
    receiver.spacing_min_ns = INT64_MAX
    for i in range(SPACING_BUCKETS):
        receiver.spacing[i].index = -1


cdef void rtp_change_payload(
    RtpReceiver* receiver, uint32_t clock_hz, uint8_t payload_type, uint8_t event_payload_type
) noexcept nogil:
    cdef int64_t before_hz = receiver.clock_hz
    receiver.payload_type = payload_type
    receiver.event_payload_type = event_payload_type
    receiver.timestamp_step = 0
    receiver.transit_known = 0
    receiver.anchor_known = 0
    forget_lowest(receiver)
    if clock_hz == before_hz:
        return
    receiver.jitter_q12 = 0
    receiver.jitter_min_q12 = scaled(receiver.jitter_min_q12, clock_hz, before_hz)
    receiver.jitter_max_q12 = scaled(receiver.jitter_max_q12, clock_hz, before_hz)
    receiver.jitter_sum_q12 = receiver.jitter_sum_q12 * clock_hz / before_hz
    receiver.clock_hz = clock_hz
    receiver.late_limit_q8 = rtp_units(receiver.late_limit_ns, clock_hz, 8)


cdef inline int64_t scaled(int64_t value, int64_t factor, int64_t divisor) noexcept nogil:
    # value * factor / divisor rounded down without overflow of the product; value is 0 or above.
    return value // divisor * factor + value % divisor * factor // divisor


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
        count_packet(receiver, header, arrival_ns, 0, 1)
        return RTP_FIRST
    if header.ssrc != receiver.ssrc:
        return hold_or_switch(receiver, header, arrival_ns)
    if receiver.held.held and receiver.held.ssrc != receiver.ssrc:
        drop_held(receiver)         # the old source is alive: two sources that interleave are no switch
    ahead = <uint16_t>(header.seq - <uint16_t>receiver.max_ext_seq)
    if 0 < ahead < MAX_DROPOUT:
        move_window(receiver, ahead)
        count_packet(receiver, header, arrival_ns, ahead, 1)
        verdict = RTP_OK
    elif 0 < ahead <= SEQ_MOD - MAX_MISORDER:
        return hold_or_switch(receiver, header, arrival_ns)
    else:
        verdict = mark_behind(receiver, <uint16_t>(0 - ahead))
        count_packet(receiver, header, arrival_ns, 0, verdict == RTP_OUT_OF_ORDER)
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
    RtpReceiver* receiver, const RtpHeader* header, int64_t arrival_ns, uint16_t ahead, bint fresh
) noexcept nogil:
    cdef int64_t spacing_ns = arrival_ns - receiver.last_arrival_ns
    cdef bint first = receiver.received + receiver.received_before == 0
    cdef bint in_order
    receiver.received += 1
    receiver.bytes_received += header.payload_bytes
    in_order = ahead > 0 or receiver.received == 1
    if header.payload_type == receiver.payload_type:
        if in_order:
            check_timestamp(receiver, header.timestamp, arrival_ns)
        if ahead and header.marker and ends_silence(receiver, header, spacing_ns, ahead):
            receiver.transit_known = 0
        update_jitter(receiver, header.timestamp, arrival_ns)
        if fresh and relative_transit(receiver, arrival_ns) > receiver.late_limit_q8:
            receiver.late_packets += 1
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


cdef void check_timestamp(RtpReceiver* receiver, uint32_t timestamp, int64_t arrival_ns) noexcept nogil:
    # RFC 3550 5.1: the timestamp runs with the codec's clock, in silence too.
    cdef int64_t step = <int32_t>(timestamp - receiver.anchor_timestamp)
    cdef int64_t packets = receiver.max_ext_seq - receiver.anchor_ext_seq
    cdef int64_t elapsed_ns = arrival_ns - receiver.anchor_arrival_ns
    cdef bint known = receiver.anchor_known
    receiver.anchor_known = 1
    receiver.anchor_timestamp = timestamp
    receiver.anchor_ext_seq = receiver.max_ext_seq
    receiver.anchor_arrival_ns = arrival_ns
    if not known:
        return
    if not explains(receiver, step, packets, elapsed_ns):
        receiver.timestamp_jumps += 1
        forget_lowest(receiver)
    elif packets == 1 and step > 0:
        receiver.timestamp_step = <uint32_t>step


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
    receiver.jitter_q12 += d_q8 - ((receiver.jitter_q12 + 8) >> 4)
    if receiver.jitter_count == 0 or receiver.jitter_q12 < receiver.jitter_min_q12:
        receiver.jitter_min_q12 = receiver.jitter_q12
    if receiver.jitter_q12 > receiver.jitter_max_q12:
        receiver.jitter_max_q12 = receiver.jitter_q12
    receiver.jitter_sum_q12 += <double>receiver.jitter_q12
    receiver.jitter_count += 1


cdef void count_spacing(RtpReceiver* receiver, int64_t spacing_ns, int64_t arrival_ns) noexcept nogil:
    cdef int64_t index = arrival_ns // SPACING_BUCKET_NS
    cdef SpacingBucket* bucket = &receiver.spacing[index & (SPACING_BUCKETS - 1)]
    if bucket.index != index:
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
    count_packet(receiver, &first, held.arrival_ns, 0, 1)
    move_window(receiver, 1)
    count_packet(receiver, header, arrival_ns, 1, 1)
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
    int64_t now_ns
) noexcept nogil:
    memset(session, 0, sizeof(RtcpSession))
    memcpy(session.cname, cname, cname_bytes)
    session.cname_bytes = cname_bytes
    session.unix_offset_ns = unix_offset_ns
    session.random_state = seed
    session.next_due_ns = now_ns + rtcp_interval(session) // 2      # RFC 3550 6.2: half before the first packet


cdef bint rtcp_due(const RtcpSession* session, int64_t now_ns) noexcept nogil:
    return now_ns >= session.next_due_ns


cdef int64_t rtcp_interval(RtcpSession* session) noexcept nogil:
    # RFC 3550 6.3.1: 0.5 .. 1.5 times the interval, divided by e - 3/2 = 1.21828.
    # The random numbers are splitmix64: their only purpose is that sessions do not report in step.
    cdef uint64_t z
    session.random_state += 0x9E3779B97F4A7C15U
    z = session.random_state
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU
    cdef int64_t unit_q16 = <int64_t>((z ^ (z >> 31)) >> 48)
    return (RTCP_INTERVAL_NS * (32768 + unit_q16) >> 16) * 100_000 // 121_828


cdef size_t rtcp_build(
    RtpSender* sender, RtpReceiver* receiver, RtcpSession* session, int64_t now_ns, bint bye, uint8_t* out
) noexcept nogil:
    cdef ReceptionReport report
    cdef size_t size
    # RFC 3550 6.4: a sender report when a packet left since the report before the previous one.
    cdef bint sending = sender.packets_sent > session.sent_before
    report.received_interval = 0
    if receiver.started:
        close_report_interval(receiver, session, now_ns, &report)
    size = put_sender_report(out, sender, session, now_ns) if sending else put_receiver_report(out, sender)
    if report.received_interval > 0:
        size += put_block(out + size, &report)
        out[0] |= 1
    put16(out + 2, <uint16_t>(size // 4 - 1))
    size += put_description(out + size, sender, session)
    if bye:
        size += put_bye(out + size, sender)
    session.sent_before = session.sent_prior
    session.sent_prior = sender.packets_sent
    session.rtcp_sent += 1
    session.next_due_ns = INT64_MAX if bye else now_ns + rtcp_interval(session)
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
    cdef int64_t since = rtp_units(now_ns - sender.reference_ns, sender.clock_hz, 0)
    out[0] = 0x80
    out[1] = RTCP_SR
    put32(out + 4, sender.ssrc)
    put32(out + 8, <uint32_t>(ntp >> 32))
    put32(out + 12, <uint32_t>ntp)
    put32(out + 16, sender.reference_timestamp + <uint32_t>since)
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
    while offset < size:
        packet = data + offset
        count = packet[0] & 0x1F
        if packet[1] == RTCP_SR:
            take_sender_report(session, packet, arrival_ns)
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
        offset += 4 * (<size_t>get16(packet + 2) + 1)
    return verdict


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


cdef void take_sender_report(RtcpSession* session, const uint8_t* packet, int64_t arrival_ns) noexcept nogil:
    session.sr_known = 1
    session.sr_ssrc = get32(packet + 4)
    session.sr_ntp_middle = <uint32_t>get16(packet + 10) << 16 | get16(packet + 12)
    session.sr_arrival_ns = arrival_ns
    session.remote_packets_sent = get32(packet + 20)
    session.remote_bytes_sent = get32(packet + 24)


cdef void take_block(
    const RtpSender* sender, RtcpSession* session, const uint8_t* block, int64_t arrival_ns
) noexcept nogil:
    cdef uint32_t lsr
    cdef int32_t rtt_q16
    if get32(block) != sender.ssrc:
        return
    session.report_known = 1
    session.remote_fraction_lost = block[4]
    session.remote_packets_lost = <int32_t>(get32(block + 4) << 8) >> 8
    session.remote_ext_seq = get32(block + 8)
    session.remote_jitter = get32(block + 12)
    lsr = get32(block + 16)
    if lsr == 0:                    # RFC 3550 6.4.1: no sender report of ours had come
        return
    rtt_q16 = <int32_t>(<uint32_t>(ntp_at(session, arrival_ns) >> 16) - lsr - get32(block + 20))
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
    global _StreamSnapshot, _ReceptionBlock
    if _StreamSnapshot is None:
        from cmw.rtp.snapshot import ReceptionBlock, StreamSnapshot
        _ReceptionBlock = ReceptionBlock
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

# cython: language_level=3
"""The media engine: one thread without the GIL that owns every RTP and RTCP socket and the pacing of every stream.

The thread wakes on an absolute grid (1 ms), takes the lock once and serves the tick:

    send      every stream whose packet is due: header stamped in front of a ready-made frame, one sendto
    receive   every socket that has something: dated by the kernel, so that a late tick is nobody's jitter
    report    RTCP of the streams whose interval is over (each looked at every 64th tick)

Python calls take the same lock for as long as it takes to copy a structure, without the GIL; a lock with priority
inheritance, so that the thread never waits for a preempted caller. No Python object is made for a packet.

What comes before a stream is started is kept, up to 2,048 packets of all streams together, and counted when it starts:
the peer's first packets overtake the signalling that tells of them, and a capture counts them too.

What a stream takes for its own: packets from the negotiated address and port. A peer may send from another port than
the one it listens on: another port of that address is heard once two valid packets in a row came from it, until two
come from the negotiated port, which wins; statistics begin again if that is another source and nothing was counted
before the other port spoke. For a while after the peer has moved, packets from where it was count too: they were under
way. Everything else is a stranger and moves no figure. Where we send to is what was negotiated, whoever speaks; but a
*symmetric* stream goes, once, to where two valid packets in a row came from, whatever their address, and stays there.
Source: RFC 3264 5.1, 8.3.1, RFC 3550 A.1, RFC 7362 3.

Digits (RFC 4733) leave instead of audio, one packet at each packet time, out of a queue of the stream; those that come
are recognised here. What became of them is told by `take_events`, and `event_fd` says that there is something.

What it may be encoded in: every format that was agreed, and those of the agreement before for a while, because packets
are under way when an agreement changes. The peer may go from one to another at any packet. Source: RFC 3264 5.1, 8.3.

One file, because everything in it is what happens under that one lock.
"""

import errno as errors
import signal
import socket
import threading

from cmw.errors import CapacityError, LocalProtocolError
from cmw.net.media import DigitEvent, DigitFate, MediaMode, PacingSnapshot, ReceivedFormat, TracedPacket
from cmw.rtp.g711 import linear_values
from cmw.rtp.telephone_event import EVENT_CODES as _CODES
from cmw.rtp.telephone_event import require_order

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.math cimport log10, lrint
from libc.errno cimport EAGAIN, ENOBUFS, ENOMEM, errno
from libc.stdint cimport INT64_MAX, int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clockid_t, timespec

from cmw._rtp_events cimport *
from cmw._rtp cimport *
from cmw.net._cache cimport fetch_lines
from cmw.net._linux cimport *
from cmw.net._packet_log cimport LogEntry, PacketLog, log_packet
from cmw.net._sockets cimport *


cdef enum:
    FREE = 0                        # states of a slot
    OPEN = 1                        # sockets bound, no stream yet
    ACTIVE = 2
    STOPPED = 3                     # the stream is over, its figures can still be read

cdef enum:
    SEND_RECEIVE = 0                # cmw.net.media.MediaMode
    RECEIVE_ONLY = 1
    ECHO = 2

cdef enum:
    DIGIT_RECEIVED = 0              # cmw.net.media.DigitFate
    DIGIT_SENT = 1
    DIGIT_DROPPED = 2

cdef enum:
    DATAGRAM_BYTES = 4096           # more of a datagram is not read
    EVENTS = 512                    # sockets that one epoll_wait may name
    BURST = 64                      # datagrams read from a socket that had some in the last tick too
    SOURCES = 1024
    PORTION = 32                    # slots that snapshot_all copies at a time
    CATCH_UP = 4                    # late ticks served without sleep; then others get the lock and the core
    REPORT_TICKS = 64               # each stream's RTCP is looked at every 64th tick
    TRACE_ENTRIES = 8192            # packets that the trace holds until they are asked for
    EARLY_PACKETS = 2048            # kept for streams that are not started yet, all slots together
    EARLY_BYTES = 560               # larger ones are not kept: 60 ms of G.711 with every header fit
    TOLD_DIGITS = 4096              # kept until they are asked for
    IDLE_TICKS = 5                  # with no slot open, every 5th point of the grid is enough
    PCMU = 0                        # static payload types, RFC 3551 table 4
    PCMA = 8
    ENERGY_PACKETS = 4              # the level is taken from every 4th packet
    LEVEL_BINS = 101                # of 1 dB: 0 to -100 dBov; the last one is digital silence
    FORMATS = 8                     # cmw.net.media.MAX_FORMATS
    FIFO_PRIORITY = 10              # modest: above everything ordinary, below the kernel's own threads

cdef double FULL_SCALE = 1073741824.0   # 2^30: the square of 16-bit overload
cdef double SPEECH_MARGIN_DB = 15.9     # ITU-T P.56: speech lies less than this below its own mean level
cdef double SPEECH_FLOOR_DBOV = -60.0   # what stays below it is no speech
cdef int64_t LATE_LIMIT_MAX_NS = 60_000_000_000
cdef double DBM0_OF_DBOV = 6.2            # ITU-T G.711: full-scale sine 3.14 (A) or 3.17 dBm0, -3.01 dBov
cdef int8_t LEVEL_UNKNOWN = 127           # RFC 3611 4.7.3
cdef double LEVEL_FLOOR_DBOV = -100.0   # below what 16 bits can hold; stands for digital silence
cdef int64_t OFFSET_GAP_NS = 5000   # a reading of both clocks that took longer is not believed ...
cdef int64_t OFFSET_AGE_NS = 1000000000     # ... unless the last good one is older than this
# Formats and addresses of the agreement before: T2 of RFC 3261, an answer that was lost is sent again within it.
cdef int64_t FORMER_NS = 4000000000
cdef int64_t BELIEVED_WAIT_NS = 5000000000  # no datagram waits longer in a socket

# Squares of the 256 linear values, for the level of what is heard: row 1 PCMU, row 2 PCMA.
cdef int32_t SQUARES[3][256]
for _row, _codec in ((1, "PCMU"), (2, "PCMA")):
    for _code, _value in enumerate(linear_values(_codec)):
        SQUARES[_row][_code] = _value * _value


cdef struct Source:
    uint8_t* frames
    int64_t frame_count
    uint32_t frame_bytes


# A payload type that may come: cmw.net.media.ReceivedFormat.
cdef struct Format:
    int64_t until_ns                # when it is taken no more, monotonic; INT64_MAX while it is agreed
    uint32_t clock_hz
    uint8_t payload_type
    uint8_t law                     # row of SQUARES; 0 when the level is not measured
    uint8_t echo_as


# Who would speak for a stream without being its negotiated peer: it has to say two packets in a row.
cdef struct Candidate:
    uint8_t address[ADDRESS_BYTES]
    uint32_t ssrc
    uint32_t place                  # of its packet among the early ones
    uint16_t next_seq
    uint8_t known


# Two ports of ours, RTP and RTCP; both descriptors are -1 when there are none.
cdef struct Pair:
    int rtp_fd
    int rtcp_fd
    uint32_t rtp_drops              # the kernel's counters, modulo 2^32
    uint32_t rtcp_drops
    uint16_t local_port             # of RTP


# What arrived at one level.
cdef struct LevelBin:
    int64_t energy                  # sum of squared linear samples
    int64_t samples


# A stream and its ports. What a packet touches lies together, since the memory of thousands of slots is far away: from
# `sender` to `ready_tick` for one that leaves, from `rtp_peer` to the head of `receiver` for one that comes. The engine
# asks for it while the kernel has the packet before: `fetch_sending`, `fetch_receiving`, `fetch_reporting`.
cdef struct Slot:
    RtpEventReceiver digits_in
    RtcpSession control
    RtpEventSender digits_out       # its counts are its end, next to the sender
    RtpSender sender
    Source source                   # frames belong to the engine
    int64_t source_began            # number of the packet of the schedule that has its first frame
    Peer rtp_peer
    Pair pairs[2]                   # both are heard; the stream leaves from one
    PacketLog* log                  # where its datagrams are kept; NULL for nowhere
    uint16_t heard_port             # where RTP is taken from, network byte order; 0 until known
    uint8_t side                    # of the pair that the stream leaves from: the other was offered, or left
    uint8_t mode
    uint8_t muted                   # no RTP leaves; the schedule and RTCP go on
    uint8_t symmetric               # the address that RTP comes from is still to be learnt
    int64_t ready_tick              # the last tick in which the RTP socket had something
    Format format                   # the one that the peer sends, or is expected to
    RtpReceiver receiver
    LevelBin levels[LEVEL_BINS]     # what came, by the level of the packet
    Format formats[FORMATS]         # all that the peer may send
    Peer rtcp_peer
    int64_t packets_before_start
    int64_t packets_after_stop
    int64_t kernel_drops            # of both sockets, as of the last datagram read
    int64_t rtcp_strangers
    int64_t early_counted           # packets of the stream that came before its start
    int64_t received_at_mute        # packets received when sending was last kept back; below 0 when it never was
    uint32_t echo_offset            # our timestamp minus theirs
    int64_t rtcp_send_errors
    int64_t network_errors          # ICMP answers to our RTP
    int family                      # AF_INET or AF_INET6
    uint8_t began_elsewhere         # all that was counted came from another port than the negotiated one
    int64_t former_until_ns         # when RTP is taken no more from where it came before the peer moved, monotonic
    uint8_t former[ADDRESS_BYTES]   # that address; behind the word above for its alignment
    uint8_t symmetric_control       # the address that RTCP comes from is still to be learnt
    Candidate candidate
    uint8_t format_count
    uint8_t echo_started
    uint8_t rtcp_wanted             # the peer named an RTCP port
    int64_t opening                 # its number, unique in the engine: whose early packets are whose
    int64_t early_packets           # kept until the stream starts
    int64_t label                   # what entries of its log are known by


# RTP that came before its stream was started: the peer's first packets overtake the signalling that tells of them.
cdef struct EarlyPacket:
    int64_t opening                 # of the slot; 0 when the place is free
    int64_t arrival_ns
    uint32_t size
    uint8_t source[ADDRESS_BYTES]
    uint8_t data[EARLY_BYTES]


# One packet of the trace: cmw.net.media.TracedPacket.
cdef struct TraceEntry:
    int64_t at_ns                   # wall clock
    uint32_t ssrc
    uint32_t timestamp
    uint32_t size
    uint16_t seq
    uint16_t local_port
    uint8_t remote[ADDRESS_BYTES]
    uint8_t sent
    uint8_t control
    uint8_t payload_type            # of RTCP: the type of the first packet
    uint8_t marker


# What became of a digit: cmw.net.media.DigitEvent.
cdef struct ToldDigit:
    double duration_ms
    int32_t slot                    # below 0: of a slot that was closed since
    uint8_t fate
    uint8_t code


@cython.final
cdef class MediaEngine:
    """Send, receive and measure the RTP and RTCP of up to `slots` streams on one thread of its own.

    Call `start` before streams are started and `stop` at the end; an engine that was started lives until it is stopped.
    All methods may be called from any thread while the engine runs.

    Args:
        slots: streams that can be open at once; each takes two descriptors.
        tick_us: the grid of the thread, 100 .. 20000 microseconds.
        realtime: ask for SCHED_FIFO; `scheduling` tells what was granted.
    """

    cdef pthread_mutex_t lock
    cdef Slot* slots
    cdef uint8_t* states            # of each slot; apart, so that a free one is found without touching the slots
    cdef int64_t* next_due          # of each slot, monotonic ns; INT64_MAX when nothing will be sent
    cdef Source sources[SOURCES]
    cdef Histogram pacing_total     # microseconds; up to the last closed interval
    cdef Histogram pacing_interval
    cdef int64_t skipped            # packets of all streams
    cdef int64_t skipped_closed     # at the last closed interval
    cdef int64_t tick_ns
    cdef int64_t tick               # ticks served
    cdef int64_t ticks_missed
    cdef int64_t stall_ns           # longest time that a tick came late, since the last closed interval
    cdef int64_t ticks_closed       # both as of the last closed interval
    cdef int64_t missed_closed
    cdef int64_t seen_ns            # the monotonic clock as it was last read under the lock: no instant after now
    cdef int64_t offset_ns          # CLOCK_REALTIME minus CLOCK_MONOTONIC
    cdef int64_t offset_taken_ns    # when it was read, monotonic
    cdef int64_t cpu_ns             # of threads that ended
    cdef int slot_count
    cdef int high_water             # slots from here on were never used
    cdef int open_count
    cdef int source_count
    cdef int epoll_fd
    cdef clockid_t cpu_clock
    cdef EarlyPacket* early         # a ring shared by all slots: the oldest packet of all gives way
    cdef uint32_t early_next
    cdef int64_t openings
    cdef TraceEntry* trace          # a ring; NULL until it was wanted once
    cdef bint tracing
    cdef PacketLog* control_log     # where RTCP of all slots is kept; NULL for nowhere
    cdef bint noting                # one of both
    cdef dict logs                  # memory of the logs by slot, and by -1 of that for RTCP
    cdef int64_t traced             # entries written so far
    cdef int64_t trace_taken        # entries read so far
    cdef int64_t trace_lost
    cdef ToldDigit told[TOLD_DIGITS]
    cdef int told_count
    cdef int64_t told_lost
    cdef int told_fd
    cdef bint running
    cdef bint stopping
    cdef bint realtime
    cdef uint8_t packet[RTP_HEADER_BYTES + DATAGRAM_BYTES]
    cdef uint8_t datagram[DATAGRAM_BYTES]
    cdef int64_t ancillary[ANCILLARY_WORDS]   # of that type for its alignment: it is read as cmsghdr
    cdef epoll_event ready[EVENTS]
    cdef object thread
    cdef str granted

    def __cinit__(self, *, int slots, int tick_us=1000, bint realtime=True):
        cdef pthread_mutexattr_t attributes
        self.epoll_fd = self.told_fd = -1
        if slots < 1 or not 100 <= tick_us <= 20000:
            raise LocalProtocolError(f"expected slots above 0 and tick_us in 100 .. 20000, got {slots} and {tick_us}")
        self.slots = <Slot*>calloc(slots, sizeof(Slot))
        self.states = <uint8_t*>calloc(slots, 1)
        self.next_due = <int64_t*>malloc(slots * sizeof(int64_t))
        self.early = <EarlyPacket*>calloc(EARLY_PACKETS, sizeof(EarlyPacket))
        if self.slots == NULL or self.states == NULL or self.next_due == NULL or self.early == NULL:
            raise MemoryError
        self.slot_count = slots
        self.tick_ns = tick_us * 1000
        self.realtime = realtime
        self.logs = {}
        self.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll_fd < 0:
            raise OSError(errno, "epoll_create1")
        self.told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.told_fd < 0:
            raise OSError(errno, "eventfd")
        histogram_clear(&self.pacing_total)
        histogram_clear(&self.pacing_interval)
        pthread_mutexattr_init(&attributes)
        pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT)
        pthread_mutex_init(&self.lock, &attributes)
        pthread_mutexattr_destroy(&attributes)
        self.offset_taken_ns = -OFFSET_AGE_NS
        self._read_offset()

    def __dealloc__(self):
        cdef int i
        for i in range(self.high_water):
            if self.states[i] != FREE:
                close_pair(self.slots[i].pairs[0])
                close_pair(self.slots[i].pairs[1])
        for i in range(self.source_count):
            free(self.sources[i].frames)
        if self.epoll_fd >= 0:
            close(self.epoll_fd)
            if self.told_fd >= 0:
                close(self.told_fd)
            pthread_mutex_destroy(&self.lock)
        free(self.trace)
        free(self.early)
        free(self.slots)
        free(self.states)
        free(self.next_due)

    # --- the thread

    def start(self) -> None:
        """Start the thread; `scheduling` is known when this returns."""
        if self.thread is not None:
            raise LocalProtocolError("the media engine runs already")
        self.stopping = False
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), name="cmw-media", daemon=True)
        self.thread.start()
        started.wait()

    def stop(self) -> None:
        """End the thread and wait for it. Slots stay open and can be read; nothing is sent or received any more."""
        thread = self.thread
        if thread is None:
            return
        with nogil:
            pthread_mutex_lock(&self.lock)
            self.stopping = True
            pthread_mutex_unlock(&self.lock)
        thread.join()
        self.thread = None

    @property
    def scheduling(self) -> str:
        """Tell ``SCHED_FIFO`` or ``SCHED_OTHER``, what the thread was granted; empty before the first start."""
        return self.granted or ""

    @property
    def open_slots(self) -> int:
        """Return how many slots are open."""
        return self.open_count

    def cpu_seconds(self) -> float:
        """Return the CPU time of the thread, user and system, over all starts."""
        cdef int64_t cpu_ns
        with nogil:
            pthread_mutex_lock(&self.lock)
            cpu_ns = self.cpu_ns
            if self.running:
                cpu_ns += clock_ns(self.cpu_clock)
            pthread_mutex_unlock(&self.lock)
        return cpu_ns / 1e9

    # --- sources and slots

    def add_source(self, bytes frames not None, uint32_t frame_bytes) -> int:
        """Keep a copy of `frames`, consecutive encoded frames of `frame_bytes` each; return the number of the source.

        Streams replay it in a loop. It is kept as long as the engine.

        Raises:
            CapacityError: there are 1024 sources already.
        """
        cdef Source source
        cdef size_t size = len(frames)
        if not 0 < frame_bytes <= DATAGRAM_BYTES or size == 0 or size % frame_bytes:
            raise LocalProtocolError(f"expected whole frames of 1 .. {DATAGRAM_BYTES} bytes, got {size}/{frame_bytes}")
        if self.source_count == SOURCES:
            raise CapacityError(f"no more than {SOURCES} media sources")
        source.frames = <uint8_t*>malloc(size)
        if source.frames == NULL:
            raise MemoryError
        memcpy(source.frames, <const uint8_t*><const char*>frames, size)
        source.frame_bytes = frame_bytes
        source.frame_count = size // frame_bytes
        self.sources[self.source_count] = source
        self.source_count += 1
        return self.source_count - 1

    def open(self, str ip not None, int rtp_port, int dscp) -> int:
        """Bind `rtp_port` and the port above it for RTCP; return the slot. Packets are counted apart until it starts.

        Args:
            ip: a literal IPv4 or IPv6 address of this machine.
            dscp: code point of everything sent, 0 .. 63. Source: RFC 2474.

        Raises:
            OSError: a port is taken, or the address is not ours.
            CapacityError: no slot or no descriptor is left.
        """
        cdef int slot
        cdef int family = AF_INET6 if ":" in ip else AF_INET
        if self.open_count >= self.slot_count:
            raise CapacityError(f"all {self.slot_count} media slots are in use", resource="media slots")
        rtp, rtcp = _bound_pair(ip, rtp_port, dscp)
        cdef Pair pair = Pair(rtp.fileno(), rtcp.fileno(), 0, 0, rtp_port)
        with nogil:
            pthread_mutex_lock(&self.lock)
            slot = self._adopt(&pair, family)
            pthread_mutex_unlock(&self.lock)
        if slot < 0:
            rtp.close()
            rtcp.close()
            why = f"all {self.slot_count} media slots are in use, or the kernel cannot watch more"
            raise CapacityError(why, resource="media slots")
        rtp.detach()
        rtcp.detach()
        return slot

    def open_beside(self, int slot, str ip not None, int rtp_port, int dscp) -> None:
        """Bind a second pair for an open slot: what comes there counts as well, before it is told to the peer.

        Sending goes on from the first pair until `change_pair`. Source: RFC 3264 8.3.1.

        Raises:
            OSError: a port is taken, or the address is not ours.
            CapacityError: no descriptor is left.
            LocalProtocolError: the slot has two pairs already, or another address family, or is not open.
        """
        cdef bint taken = False
        cdef bint watched = False
        if self._family(slot) != (AF_INET6 if ":" in ip else AF_INET):
            raise LocalProtocolError(f"media slot {slot}: expected an address of its family, got {ip}")
        rtp, rtcp = _bound_pair(ip, rtp_port, dscp)
        cdef Pair pair = Pair(rtp.fileno(), rtcp.fileno(), 0, 0, rtp_port)
        with nogil:
            pthread_mutex_lock(&self.lock)
            taken = self.states[slot] == FREE or self._beside(slot).rtp_fd >= 0
            if not taken:
                watched = self._watch_pair(&pair, slot, self.slots[slot].side ^ 1)
            if watched:
                self._beside(slot)[0] = pair
            pthread_mutex_unlock(&self.lock)
        if not watched:
            rtp.close()
            rtcp.close()
            if taken:
                raise LocalProtocolError(f"media slot {slot} has two pairs of ports already, or was closed meanwhile")
            raise CapacityError("the kernel cannot watch more sockets", resource="media slots")
        rtp.detach()
        rtcp.detach()

    def change_pair(self, int slot) -> None:
        """Send from the pair that `open_beside` bound, from now on; all figures go on.

        The pair that was left is heard until `close_beside`.

        Raises:
            LocalProtocolError: there is no second pair, or the slot is not open.
        """
        cdef bint found
        self._family(slot)
        with nogil:
            pthread_mutex_lock(&self.lock)
            found = self.states[slot] != FREE and self._beside(slot).rtp_fd >= 0
            if found:
                self.slots[slot].side ^= 1
            pthread_mutex_unlock(&self.lock)
        if not found:
            raise LocalProtocolError(f"media slot {slot} has no second pair of ports")

    def close_beside(self, int slot) -> None:
        """Take what waits at the pair that is not sent from, and close it; does nothing when there is none."""
        cdef Pair left
        self._family(slot)
        left.rtp_fd = left.rtcp_fd = -1
        with nogil:
            pthread_mutex_lock(&self.lock)
            if self.states[slot] != FREE and self._beside(slot).rtp_fd >= 0:
                self._read_offset()
                self._drain_pair(slot, self._beside(slot))
                left = self._beside(slot)[0]
                self._unwatch(&left)
                self._beside(slot).rtp_fd = self._beside(slot).rtcp_fd = -1
            pthread_mutex_unlock(&self.lock)
            close_pair(left)

    def start_stream(
        self, int slot, *, str remote_ip not None, int remote_rtp_port, int remote_rtcp_port, int payload_type,
        uint32_t clock_hz, int ptime_ms, int source, uint32_t ssrc, uint16_t sequence, uint32_t timestamp,
        bytes cname not None, int mode, event_payload_type=None, bint extended_reports=True,
        jitter_buffer=None, int64_t late_limit_ns=LATE_LIMIT_NS, remote_rtcp_ip=None, formats=(),
        bint symmetric=False,
    ) -> None:
        """Begin to send and to measure what comes; the first packet leaves within 6 ticks and one ptime.

        A slot whose stream was stopped can be started again; its figures then begin anew.

        Args:
            remote_ip: literal address of the same family as the slot's.
            remote_rtcp_port: 0 when the peer takes no RTCP; equal to `remote_rtp_port` for RFC 5761.
            payload_type: of what we send, 0 .. 127.
            clock_hz: of the RTP timestamp.
            ptime_ms: length of a frame of the source, 1 .. 1000.
            source: number from `add_source`; ignored unless the mode is SEND_RECEIVE.
            ssrc, sequence, timestamp: first values of what we send, random. Source: RFC 3550 5.1.
            cname: name for SDES, up to 255 bytes.
            mode: a `MediaMode`.
            event_payload_type: of telephone-event (RFC 4733) when it was negotiated.
            extended_reports: add XR to our control packets. Source: RFC 3611.
            jitter_buffer: `cmw.rtp.jitter_buffer.BufferSettings`; None for the usual one.
            late_limit_ns: above it, a packet that comes later than the fastest of the last seconds is late; 0 .. 60 s.
            remote_rtcp_ip: where RTCP goes instead, of the same family. Source: RFC 3605.
            formats: each `ReceivedFormat` that may come, the expected one first; without, what we send.
            symmetric: send to where two valid packets in a row came from, once, whatever was negotiated.

        Raises:
            LocalProtocolError: an argument is out of its range, or the slot is not open, or its stream runs.
        """
        cdef Peer rtp_peer
        cdef Peer rtcp_peer
        cdef Source frames
        cdef Format found[FORMATS]
        cdef int found_count
        cdef Slot* s
        cdef int64_t now_ns
        cdef int64_t period_ns = <int64_t>ptime_ms * 1000000
        cdef const uint8_t* name = <const uint8_t*><const char*>cname
        cdef uint8_t name_bytes = min(len(cname), 255)
        cdef uint8_t events = NO_PAYLOAD_TYPE if event_payload_type is None else event_payload_type
        cdef bint idle
        cdef BufferSettings buffer = usual_buffer()
        cdef int family = self._family(slot)
        if jitter_buffer is not None:
            if not jitter_buffer.is_sound():
                raise LocalProtocolError(f"jitter_buffer: expected 0 <= min <= start <= max, got {jitter_buffer}")
            buffer.start_ns, buffer.min_ns, buffer.max_ns = jitter_buffer
        if not 0 <= late_limit_ns <= LATE_LIMIT_MAX_NS:
            raise LocalProtocolError(f"late_limit_ns: expected 0 .. {LATE_LIMIT_MAX_NS}, got {late_limit_ns}")
        _require_sendable(payload_type, clock_hz, ptime_ms)
        if len(cname) > 255:
            raise LocalProtocolError(f"cname: expected up to 255 bytes, got {len(cname)}")
        MediaMode(mode)
        memset(&frames, 0, sizeof(Source))
        if mode == SEND_RECEIVE:
            frames = self._source(source)
        usual = (ReceivedFormat(payload_type, _STATIC_CODECS.get(payload_type, ""), clock_hz, payload_type),)
        found_count = _read_formats(found, formats or usual)
        _set_peer(&rtp_peer, family, remote_ip, remote_rtp_port)
        _set_peer(&rtcp_peer, family, remote_ip if remote_rtcp_ip is None else remote_rtcp_ip, remote_rtcp_port)
        with nogil:
            pthread_mutex_lock(&self.lock)
            s = &self.slots[slot]
            idle = self.states[slot] == OPEN or self.states[slot] == STOPPED
            if idle:
                self._clear(s)
                s.source = frames
                s.mode = mode
                s.format = found[0]
                s.format_count = found_count
                memcpy(s.formats, found, sizeof(s.formats))
                self._set_peers(s, &rtp_peer, &rtcp_peer, symmetric)
                now_ns = clock_ns(CLOCK_MONOTONIC)
                rtp_sender_open(
                    &s.sender, self._first_due(slot, now_ns, period_ns), period_ns, period_ns, ssrc, sequence,
                    timestamp, clock_hz * ptime_ms // 1000, clock_hz, payload_type)
                rtp_receiver_open(
                    &s.receiver, s.format.clock_hz, s.format.payload_type, events, late_limit_ns, &buffer)
                rtcp_open(
                    &s.control, name, name_bytes, self.offset_ns, <uint64_t>ssrc << 32 | timestamp, now_ns,
                    extended_reports)
                self.states[slot] = ACTIVE
                self._count_early(s)
                self.next_due[slot] = rtp_next_due(&s.sender) if mode == SEND_RECEIVE else INT64_MAX
            pthread_mutex_unlock(&self.lock)
        if not idle:
            raise LocalProtocolError(f"media slot {slot} has a running stream, or was closed meanwhile")

    def change_remote(
        self, int slot, *, str remote_ip not None, int remote_rtp_port, int remote_rtcp_port, remote_rtcp_ip=None,
        bint symmetric=False,
    ) -> None:
        """Send to another address from now on and take packets from there, as a re-INVITE asks; all figures go on.

        Packets from the address before count for four seconds more. A symmetric stream learns anew where to send to,
        but not from them.

        Args and errors are those of `start_stream`.
        """
        cdef Peer rtp_peer
        cdef Peer rtcp_peer
        cdef bint active
        cdef int family = self._family(slot)
        _set_peer(&rtp_peer, family, remote_ip, remote_rtp_port)
        _set_peer(&rtcp_peer, family, remote_ip if remote_rtcp_ip is None else remote_rtcp_ip, remote_rtcp_port)
        with nogil:
            pthread_mutex_lock(&self.lock)
            active = self.states[slot] == ACTIVE
            if active:
                leave_peer(&self.slots[slot], clock_ns(CLOCK_MONOTONIC))
                self._set_peers(&self.slots[slot], &rtp_peer, &rtcp_peer, symmetric)
            pthread_mutex_unlock(&self.lock)
        if not active:
            raise LocalProtocolError(f"media slot {slot} has no running stream")

    def change_sending(self, int slot, *, int payload_type, uint32_t clock_hz, int ptime_ms, int source) -> None:
        """Send another format from the next packet on, which is due when it was due; all figures go on.

        SSRC, sequence numbers and timestamps go on too, and the marker is set. A source that is as long as the one
        before goes on where that was. An echo takes its payload types from the received formats.

        Args and errors are those of `start_stream`, but that the source must exist in every mode.
        """
        cdef Source frames
        cdef Slot* s
        cdef bint active
        self._family(slot)
        _require_sendable(payload_type, clock_hz, ptime_ms)
        frames = self._source(source)
        with nogil:
            pthread_mutex_lock(&self.lock)
            s = &self.slots[slot]
            active = self.states[slot] == ACTIVE
            if active:
                s.source = frames
                s.source_began = s.source_began * s.sender.period_ns // (<int64_t>ptime_ms * 1000000)
                rtp_sender_change(
                    &s.sender, <int64_t>ptime_ms * 1000000, clock_hz * ptime_ms // 1000, clock_hz, payload_type)
            pthread_mutex_unlock(&self.lock)
        if not active:
            raise LocalProtocolError(f"media slot {slot} has no running stream")

    def change_source(self, int slot, *, int source) -> None:
        """Say another source, from its beginning, with the next packet of the schedule; all else goes on.

        Args:
            source: number from `add_source`, in the format that the stream sends. An echo has no source of its own.

        Raises:
            LocalProtocolError: no running stream that sends a source, or there is no such source.
        """
        cdef Source frames
        cdef Slot* s
        cdef bint active
        self._family(slot)
        frames = self._source(source)
        with nogil:
            pthread_mutex_lock(&self.lock)
            s = &self.slots[slot]
            active = self.states[slot] == ACTIVE and s.mode == SEND_RECEIVE
            if active:
                s.source = frames
                s.source_began = s.sender.next_packet
            pthread_mutex_unlock(&self.lock)
        if not active:
            raise LocalProtocolError(f"media slot {slot} has no running stream that sends a source")

    def change_receiving(self, int slot, *, formats, event_payload_type=None) -> None:
        """Take these formats from now on, and those before them for four seconds more; all figures go on.

        Args and errors are those of `start_stream`.
        """
        cdef Format found[FORMATS]
        cdef int found_count = _read_formats(found, formats)
        cdef uint8_t events = NO_PAYLOAD_TYPE if event_payload_type is None else event_payload_type
        cdef bint active
        self._family(slot)
        with nogil:
            pthread_mutex_lock(&self.lock)
            active = self.states[slot] == ACTIVE
            if active:
                replace_formats(&self.slots[slot], found, found_count, clock_ns(CLOCK_MONOTONIC))
                self.slots[slot].receiver.event_payload_type = events
            pthread_mutex_unlock(&self.lock)
        if not active:
            raise LocalProtocolError(f"media slot {slot} has no running stream")

    def set_sending(self, int slot, bint on) -> None:
        """Let RTP leave, or keep it back, as on hold and after a BYE; receiving, RTCP and the schedule go on.

        Packets kept back are neither sent nor skipped. Does nothing to a slot that has no running stream.
        """
        cdef Slot* s
        self._family(slot)
        with nogil:
            pthread_mutex_lock(&self.lock)
            if self.states[slot] == ACTIVE:
                s = &self.slots[slot]
                s.muted = not on
                if s.muted:
                    self._drop_digits(slot)
                    s.received_at_mute = s.receiver.received_before + s.receiver.received
            pthread_mutex_unlock(&self.lock)

    def send_digits(
        self, int slot, str digits not None, *, int payload_type, int duration_ms, int pause_ms, int volume
    ) -> None:
        """Send digits instead of audio, one after the other and after those before them. Source: RFC 4733.

        `take_events` tells of each one when it has left, or that it never will: because the stream was silenced.

        Args:
            digits: out of 0123456789*#ABCD; with those that wait already, up to 32.
            payload_type: of telephone-event at the clock rate of what we send.
            duration_ms: of each digit, 1 or more.
            pause_ms: between the end of one and the beginning of the next.
            volume: power below 0 dBm0, 0 .. 63 dB.

        Raises:
            LocalProtocolError: an argument is out of its range, there is no room, the slot has no running stream, or
                its stream sends nothing: it is silenced, or its mode is not SEND_RECEIVE.
        """
        cdef EventOrder orders[EVENT_QUEUE]
        cdef int count = len(digits)
        cdef int i
        cdef Slot* s
        cdef bint active, sends
        cdef int room = 0
        cdef int64_t clock_hz
        self._family(slot)
        if self.states[slot] != ACTIVE:
            raise LocalProtocolError(f"media slot {slot} has no running stream")
        if not 0 < count <= EVENT_QUEUE:
            raise LocalProtocolError(f"expected 1 .. {EVENT_QUEUE} digits, got {count}")
        clock_hz = self.slots[slot].sender.clock_hz
        for i in range(count):
            code, duration, pause = _CODES.find(digits[i]), duration_ms * clock_hz // 1000, pause_ms * clock_hz // 1000
            try:
                require_order(code, payload_type, volume, duration, pause)
            except ValueError as error:
                raise LocalProtocolError(f"digit {digits[i]!r}: {error}") from None
            orders[i] = EventOrder(duration, pause, code, payload_type, volume)
        with nogil:
            pthread_mutex_lock(&self.lock)
            s = &self.slots[slot]
            active = self.states[slot] == ACTIVE
            sends = s.mode == SEND_RECEIVE and not s.muted
            room = <int>EVENT_QUEUE - s.digits_out.count
            if active and sends and count <= room:
                for i in range(count):
                    events_queue(&s.digits_out, &orders[i])
            pthread_mutex_unlock(&self.lock)
        if not active:
            raise LocalProtocolError(f"media slot {slot} has no running stream")
        if not sends:
            raise LocalProtocolError(f"media slot {slot} sends no stream of its own that digits could be part of")
        if count > room:
            raise LocalProtocolError(f"expected up to {room} digits beside those that wait, got {count}")

    def rate_streams(self, ratings) -> None:
        """Say these scores of what slots receive in their extended reports from now on.

        Args:
            ratings: sequence of (slot, R factor, MOS-LQ in 1/10, MOS-CQ in 1/10); 127 for what is not known, slots
                without a stream are passed over.
        """
        cdef int slot
        cdef uint8_t r, lq, cq
        for slot, r, lq, cq in ratings:
            self._family(slot)
            pthread_mutex_lock(&self.lock)
            if self.states[slot] == ACTIVE:
                self.slots[slot].control.rating.r_factor = r
                self.slots[slot].control.rating.mos_lq_q10 = lq
                self.slots[slot].control.rating.mos_cq_q10 = cq
            pthread_mutex_unlock(&self.lock)

    def stop_stream(self, int slot) -> None:
        """Stop sending, say BYE on RTCP and freeze what was measured; what waits in the socket still counts.

        Does nothing to a slot that has no running stream.
        """
        self._family(slot)
        with nogil:
            pthread_mutex_lock(&self.lock)
            self._end(slot)
            pthread_mutex_unlock(&self.lock)

    def close(self, int slot) -> None:
        """Stop the stream if it runs, close the sockets and free the slot."""
        cdef Pair left[2]
        self._family(slot)
        log = self.logs.pop(slot, None)  # written to for the last time below, so it has to live until then
        left[0].rtp_fd = left[0].rtcp_fd = left[1].rtp_fd = left[1].rtcp_fd = -1
        with nogil:
            pthread_mutex_lock(&self.lock)
            if self.states[slot] != FREE:
                self._end(slot)
                left[0], left[1] = self.slots[slot].pairs[0], self.slots[slot].pairs[1]
                self._forget(slot)
            pthread_mutex_unlock(&self.lock)
            close_pair(left[0])
            close_pair(left[1])
        del log

    # --- looking

    def snapshot(self, int slot):
        """Return the `StreamSnapshot` of an open slot; all zero before its stream started."""
        cdef Slot copy
        self._family(slot)
        with nogil:
            pthread_mutex_lock(&self.lock)
            copy = self.slots[slot]
            pthread_mutex_unlock(&self.lock)
        return _look(&copy)

    def snapshot_all(self):
        """Return a list of (slot, StreamSnapshot) for every open slot.

        Taken in portions, so that the thread waits for a few microseconds at most.
        """
        cdef Slot* copies = <Slot*>malloc(PORTION * sizeof(Slot))
        cdef int numbers[PORTION]
        cdef int count
        cdef int i
        cdef int slot = 0
        if copies == NULL:
            raise MemoryError
        try:
            seen = []
            while slot < self.high_water:
                count = 0
                with nogil:
                    pthread_mutex_lock(&self.lock)
                    while slot < self.high_water and count < PORTION:
                        if self.states[slot] != FREE:
                            copies[count] = self.slots[slot]
                            numbers[count] = slot
                            count += 1
                        slot += 1
                    pthread_mutex_unlock(&self.lock)
                for i in range(count):
                    seen.append((numbers[i], _look(&copies[i])))
            return seen
        finally:
            free(copies)

    def pacing(self):
        """Return the `PacingSnapshot` since the engine was made."""
        return self._pacing(False)

    def close_pacing_interval(self):
        """Return the `PacingSnapshot` since the last call and begin the next interval."""
        return self._pacing(True)

    @property
    def event_fd(self) -> int:
        """Return a descriptor that can be read from while `take_events` has something to tell; the engine's own."""
        return self.told_fd

    def take_events(self):
        """Return what became of digits since the last call as `DigitEvent`, and how many found no room."""
        cdef ToldDigit* copies = <ToldDigit*>malloc(sizeof(self.told))
        cdef uint64_t times
        cdef int count, i
        cdef int64_t lost
        if copies == NULL:
            raise MemoryError
        with nogil:
            pthread_mutex_lock(&self.lock)
            eventfd_read(self.told_fd, &times)
            count = self.told_count
            memcpy(copies, self.told, count * sizeof(ToldDigit))
            self.told_count = 0
            lost, self.told_lost = self.told_lost, 0
            pthread_mutex_unlock(&self.lock)
        try:
            return [
                DigitEvent(copies[i].slot, DigitFate(copies[i].fate), _CODES[copies[i].code], copies[i].duration_ms)
                for i in range(count) if copies[i].slot >= 0
            ], lost
        finally:
            free(copies)

    def set_trace(self, bint on) -> None:
        """Keep what `take_trace` returns, or no more; what is kept already can still be taken."""
        if self.trace == NULL:
            self.trace = <TraceEntry*>calloc(TRACE_ENTRIES, sizeof(TraceEntry))
            if self.trace == NULL:
                raise MemoryError
        with nogil:
            pthread_mutex_lock(&self.lock)
            self.tracing = on
            self.noting = on or self.control_log != NULL
            pthread_mutex_unlock(&self.lock)

    def take_trace(self, int most):
        """Return up to `most` packets of the trace as `TracedPacket`, and how many found no room since the last call.

        The thread waits for the copy, a few microseconds for a thousand packets.
        """
        cdef TraceEntry* copies
        cdef int count, first, i
        cdef int64_t lost
        if self.trace == NULL or most < 1:
            return [], 0
        copies = <TraceEntry*>malloc(min(most, TRACE_ENTRIES) * sizeof(TraceEntry))
        if copies == NULL:
            raise MemoryError
        with nogil:
            pthread_mutex_lock(&self.lock)
            count = <int>min(<int64_t>min(most, TRACE_ENTRIES), self.traced - self.trace_taken)
            first = <int>min(<int64_t>count, TRACE_ENTRIES - self.trace_taken % TRACE_ENTRIES)
            memcpy(copies, self.trace + self.trace_taken % TRACE_ENTRIES, first * sizeof(TraceEntry))
            memcpy(copies + first, self.trace, (count - first) * sizeof(TraceEntry))
            self.trace_taken += count
            lost, self.trace_lost = self.trace_lost, 0
            pthread_mutex_unlock(&self.lock)
        try:
            return [_traced_packet(&copies[i]) for i in range(count)], lost
        finally:
            free(copies)

    def set_label(self, int slot, int64_t label) -> None:
        """Say what a slot is known by in logs, until it is closed; 0 before that."""
        self._family(slot)
        with nogil:
            pthread_mutex_lock(&self.lock)
            self.slots[slot].label = label
            pthread_mutex_unlock(&self.lock)

    def set_log(self, int slot, log) -> None:
        """Keep each datagram of a slot, RTP and RTCP, sent and received, from now on until it is closed.

        Args:
            log: a `cmw.net.packet_log.PacketLog`, which belongs to the engine meanwhile; None to keep no more.
        """
        cdef PacketLog* room = _room_of(log)
        self._family(slot)
        with nogil:
            pthread_mutex_lock(&self.lock)
            self.slots[slot].log = room
            pthread_mutex_unlock(&self.lock)
        self.logs[slot] = log

    def set_control_log(self, log) -> None:
        """Keep the RTCP of all slots from now on, sent and received; what the log had is whole when this returns.

        Args:
            log: a `PacketLog`, of which only the room for first packets should be used; None to keep no more.
        """
        cdef PacketLog* room = _room_of(log)
        with nogil:
            pthread_mutex_lock(&self.lock)
            self.control_log = room
            self.noting = self.tracing or room != NULL
            pthread_mutex_unlock(&self.lock)
        self.logs[-1] = log

    # --- private: with the GIL

    def _run(self, started):
        """Be the media thread. Signals are left to the other threads."""
        cdef sched_param parameters
        cdef clockid_t cpu_clock
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        parameters.sched_priority = FIFO_PRIORITY
        fifo = self.realtime and pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters) == 0
        self.granted = "SCHED_FIFO" if fifo else "SCHED_OTHER"
        prctl(PR_SET_TIMERSLACK, 1)
        pthread_getcpuclockid(pthread_self(), &cpu_clock)
        with nogil:
            pthread_mutex_lock(&self.lock)
            self.cpu_clock = cpu_clock
            self.running = True
            pthread_mutex_unlock(&self.lock)
        started.set()
        with nogil:
            self._loop()

    cdef int _family(self, int slot) except -1:
        """Return the address family of an open slot."""
        if not 0 <= slot < self.slot_count or self.states[slot] == FREE:
            raise LocalProtocolError(f"media slot {slot} is not open")
        return self.slots[slot].family

    cdef Source _source(self, int number) except *:
        if not 0 <= number < self.source_count:
            raise LocalProtocolError(f"source {number} was never added")
        return self.sources[number]

    cdef object _pacing(self, bint closing):
        cdef Histogram copy
        cdef int64_t skipped, ticks, missed, stall_ns
        with nogil:
            pthread_mutex_lock(&self.lock)
            skipped, ticks, missed, stall_ns = self.skipped, self.tick, self.ticks_missed, self.stall_ns
            if closing:
                copy = self.pacing_interval
                add_histogram(&self.pacing_total, &copy)
                histogram_clear(&self.pacing_interval)
                skipped, self.skipped_closed = skipped - self.skipped_closed, skipped
                ticks, self.ticks_closed = ticks - self.ticks_closed, ticks
                missed, self.missed_closed = missed - self.missed_closed, missed
                self.stall_ns = 0
            else:
                copy = self.pacing_total
                add_histogram(&copy, &self.pacing_interval)
            pthread_mutex_unlock(&self.lock)
        low, high = (copy.min, copy.max) if copy.count else (None, None)
        return PacingSnapshot(histogram_dict(&copy), copy.count, low, high, skipped, ticks, missed, stall_ns / 1e6)

    # --- private: the thread's work; the lock is held but in _loop

    cdef void _loop(self) noexcept nogil:
        cdef int64_t missed
        cdef int behind = 0             # ticks that were late in a row
        cdef int64_t now_ns = clock_ns(CLOCK_MONOTONIC)
        cdef int64_t wake_ns = now_ns - now_ns % self.tick_ns + self.tick_ns
        cdef int64_t due_ns = wake_ns
        while True:
            sleep_until(wake_ns)
            pthread_mutex_lock(&self.lock)
            if self.stopping:
                break
            now_ns = clock_ns(CLOCK_MONOTONIC)
            self.stall_ns = max(self.stall_ns, now_ns - due_ns)
            self._serve(now_ns)
            due_ns = wake_ns + self.tick_ns * (1 if self.open_count else IDLE_TICKS)
            wake_ns += self.tick_ns * (1 if self.open_count else IDLE_TICKS)
            now_ns = clock_ns(CLOCK_MONOTONIC)
            if wake_ns > now_ns:
                behind = 0
            else:  # serve the last point that passed at once: waiting for the next makes that one as long again
                behind = behind + 1 if behind < CATCH_UP else 0
                missed = (now_ns - wake_ns) // self.tick_ns + (behind == 0)
                self.ticks_missed += missed
                wake_ns += missed * self.tick_ns
            pthread_mutex_unlock(&self.lock)
        self.cpu_ns += clock_ns(self.cpu_clock)
        self.running = False
        pthread_mutex_unlock(&self.lock)

    cdef void _serve(self, int64_t now_ns) noexcept nogil:
        cdef int due = -1               # the slot before `i` that has a packet
        cdef int reported, i
        self.tick += 1
        reported = <int>(self.tick % REPORT_TICKS)  # a few at each tick: all at once would keep packets waiting
        self._read_offset()
        fetch_reporting(self.slots, reported, self.high_water)
        for i in range(self.high_water):
            if self.next_due[i] <= now_ns:
                fetch_sending(&self.slots[i])
                if due >= 0:
                    self._send_packet(due)
                due = i
        if due >= 0:
            self._send_packet(due)
        self._drain_ready()
        i = reported
        while i < self.high_water:
            if self.states[i] == ACTIVE:
                self._end_digit(i, now_ns)
                if self._report_due(&self.slots[i], now_ns):
                    self._send_report(&self.slots[i], 0)
            i += REPORT_TICKS

    cdef bint _report_due(self, Slot* s, int64_t now_ns) noexcept nogil:
        return rtcp_due(&s.sender, &s.receiver, &s.control, now_ns)

    cdef void _read_offset(self) noexcept nogil:
        """Tie the kernel's clock of arrivals to ours, anew each tick: it may be stepped or slewed."""
        cdef int64_t before_ns = clock_ns(CLOCK_MONOTONIC)
        cdef int64_t unix_ns = clock_ns(CLOCK_REALTIME)
        cdef int64_t after_ns = clock_ns(CLOCK_MONOTONIC)
        self.seen_ns = after_ns
        if after_ns - before_ns < OFFSET_GAP_NS or after_ns - self.offset_taken_ns > OFFSET_AGE_NS:
            self.offset_ns = unix_ns - before_ns - (after_ns - before_ns) // 2
            self.offset_taken_ns = after_ns

    cdef int64_t _first_due(self, int slot, int64_t now_ns, int64_t period_ns) noexcept nogil:
        """Return a point of the grid that the thread cannot have passed, each slot at another phase of the period.

        The phase is one of the clock, not of the moment: streams spread however their starts are spaced.
        """
        cdef int64_t phases = max(<int64_t>1, period_ns // self.tick_ns)
        cdef int64_t soon = now_ns // self.tick_ns + IDLE_TICKS + 1
        return (soon + (slot % phases + phases - soon % phases) % phases) * self.tick_ns

    # sending

    cdef void _send_packet(self, int slot) noexcept nogil:
        cdef Slot* s = &self.slots[slot]
        cdef uint32_t size = s.source.frame_bytes
        cdef int64_t frame
        cdef int64_t skipped = s.sender.packets_skipped
        cdef bint due
        self.seen_ns = clock_ns(CLOCK_MONOTONIC)
        due = rtp_pull_due(&s.sender, self.seen_ns, 0)
        self.skipped += s.sender.packets_skipped - skipped
        if due:
            if s.muted:
                s.sender.next_packet += 1
                s.sender.marker_due = 1
                self.next_due[slot] = rtp_next_due(&s.sender)
                return
            if s.digits_out.count and self._send_digit(slot):
                self.next_due[slot] = rtp_next_due(&s.sender)
                return
            # After a skip, sound keeps step with the timestamps.
            frame = (s.sender.next_packet - s.source_began) % s.source.frame_count
            memcpy(self.packet + RTP_HEADER_BYTES, s.source.frames + frame * size, size)  # cheaper than an iovec
            histogram_record(&self.pacing_interval, s.sender.lateness_ns / 1000.0)
            rtp_stamp(&s.sender, self.packet, size)
            self._send_media(s, size)
        self.next_due[slot] = rtp_next_due(&s.sender)

    cdef bint _send_digit(self, int slot) noexcept nogil:
        """Send a packet of the first digit that waits; returns 0 when it is not its time yet."""
        cdef Slot* s = &self.slots[slot]
        cdef EventPacket event
        if not events_next(&s.digits_out, rtp_next_timestamp(&s.sender), s.sender.timestamp_step, &event):
            return 0
        memcpy(self.packet + RTP_HEADER_BYTES, event.payload, EVENT_BYTES)
        histogram_record(&self.pacing_interval, s.sender.lateness_ns / 1000.0)
        rtp_stamp_event(&s.sender, self.packet, event.payload_type, event.timestamp, event.marker)
        self._send_media(s, EVENT_BYTES)
        if event.is_over:
            self._tell(slot, DIGIT_SENT, event.code, event.duration * 1000.0 / s.sender.clock_hz)
        return 1

    cdef void _drop_digits(self, int slot) noexcept nogil:
        cdef RtpEventSender* digits = &self.slots[slot].digits_out
        cdef int told = digits.phase == EVENT_REPEATING and digits.is_end  # of the first, that it was sent
        cdef int i
        for i in range(told, digits.count):
            self._tell(slot, DIGIT_DROPPED, digits.orders[(digits.first + i) % EVENT_QUEUE].code, 0.0)
        events_drop(digits)

    cdef void _tell(self, int slot, uint8_t fate, uint8_t code, double duration_ms) noexcept nogil:
        cdef ToldDigit* told = &self.told[self.told_count]
        if self.told_count == TOLD_DIGITS:
            self.told_lost += 1
            return
        told.slot, told.fate, told.code, told.duration_ms = slot, fate, code, duration_ms
        self.told_count += 1
        eventfd_write(self.told_fd, 1)

    cdef void _send_media(self, Slot* s, uint32_t payload_bytes) noexcept nogil:
        cdef const Pair* pair = &s.pairs[s.side]
        if transmit(pair.rtp_fd, self.packet, RTP_HEADER_BYTES + payload_bytes, &s.rtp_peer):
            if self.noting or s.log != NULL:
                self._note(
                    s, pair.local_port, 1, 0, self.packet, RTP_HEADER_BYTES + payload_bytes,
                    clock_ns(CLOCK_MONOTONIC), s.rtp_peer.address)
            return
        rtp_send_failed(&s.sender)
        if errno == EAGAIN or errno == ENOBUFS or errno == ENOMEM:  # our fault, not the path's
            s.sender.send_errors -= 1
            s.sender.packets_skipped += 1
            self.skipped += 1

    cdef void _send_report(self, Slot* s, bint bye) noexcept nogil:
        cdef uint8_t report[RTCP_MAX_BYTES]
        cdef const Pair* pair = &s.pairs[s.side]
        cdef bint shared = port_of(s.rtp_peer.address) == port_of(s.rtcp_peer.address)
        cdef size_t size
        shared = shared and same_host(s.rtp_peer.address, s.rtcp_peer.address)
        if not s.rtcp_wanted:
            return
        rate_levels(s)
        size = rtcp_build(&s.sender, &s.receiver, &s.control, clock_ns(CLOCK_MONOTONIC), bye, report)
        if not transmit(pair.rtp_fd if shared else pair.rtcp_fd, report, size, &s.rtcp_peer):
            s.rtcp_send_errors += 1
        elif self.noting or s.log != NULL:
            self._note(
                s, pair.local_port, 1, not shared, report, size, clock_ns(CLOCK_MONOTONIC), s.rtcp_peer.address)

    # receiving

    cdef void _drain_ready(self) noexcept nogil:
        """Read one datagram from each socket that has some; more from those that had some in the last tick too.

        Level-triggered: what is left is told again next tick, and its date is the kernel's.
        """
        cdef int rounds = 1 + 2 * self.high_water // EVENTS
        cdef int count = EVENTS
        cdef int i
        cdef uint64_t tag
        while count == EVENTS and rounds > 0:
            count = epoll_wait(self.epoll_fd, self.ready, EVENTS, 0)
            for i in range(count):
                tag = self.ready[i].data.u64
                if i + 1 < count:
                    fetch_receiving(&self.slots[self.ready[i + 1].data.u64 >> 2])
                self._drain_event(
                    tag >> 2, &self.slots[tag >> 2].pairs[tag >> 1 & 1], tag & 1, self.ready[i].events)
            rounds -= 1

    cdef void _drain_event(self, int slot, Pair* pair, bint control, uint32_t events) noexcept nogil:
        cdef Slot* s = &self.slots[slot]
        cdef int budget = 1
        if events & EPOLLERR:
            self._drain_errors(s, pair, control)
        if not events & EPOLLIN:
            return
        if s.ready_tick == self.tick - 1:
            budget = BURST
        if not control:
            s.ready_tick = self.tick
        self._drain(slot, pair, control, budget)

    cdef void _drain_pair(self, int slot, Pair* pair) noexcept nogil:
        """Take all that waits at a pair."""
        if pair.rtp_fd >= 0:
            self._drain(slot, pair, 0, EVENTS)
            self._drain(slot, pair, 1, BURST)

    cdef void _drain(self, int slot, Pair* pair, bint control, int budget) noexcept nogil:
        while budget > 0 and self._read_datagram(slot, pair, control):
            budget -= 1

    cdef bint _read_datagram(self, int slot, Pair* pair, bint control) noexcept nogil:
        """Take one datagram off a socket; return 0 when there was none."""
        cdef Slot* s = &self.slots[slot]
        cdef uint8_t source[ADDRESS_BYTES]
        cdef msghdr message
        cdef iovec buffer
        cdef int64_t arrival_ns
        cdef ssize_t size
        prepare(&message, &buffer, self.datagram, DATAGRAM_BYTES, <uint8_t*>self.ancillary, source)
        size = receive_message(pair.rtcp_fd if control else pair.rtp_fd, &message, MSG_DONTWAIT)
        if size < 0:
            return errno != EAGAIN  # a pending ICMP error or a signal: there may be more behind it
        arrival_ns = self._read_ancillary(s, pair, &message, control)
        if self.noting or s.log != NULL:
            self._note(s, pair.local_port, 0, control, self.datagram, size, arrival_ns, source)
        if control:
            self._take_control(s, self.states[slot], size, arrival_ns, source)
        else:
            self._take_media(s, self.states[slot], size, arrival_ns, source)
        return 1

    cdef int64_t _read_ancillary(self, Slot* s, Pair* pair, msghdr* message, bint control) noexcept nogil:
        """Count what the kernel dropped before this datagram; return when it came, monotonic."""
        cdef int64_t arrival_ns = INT64_MAX
        cdef cmsghdr* item = CMSG_FIRSTHDR(message)
        cdef timespec stamp
        cdef uint32_t drops
        while item != NULL:
            if item.cmsg_level == SOL_SOCKET and item.cmsg_type == SCM_TIMESTAMPNS:
                memcpy(&stamp, CMSG_DATA(item), sizeof(timespec))
                arrival_ns = stamp.tv_sec * SECOND_NS + stamp.tv_nsec - self.offset_ns
            elif item.cmsg_level == SOL_SOCKET and item.cmsg_type == SO_RXQ_OVFL:
                memcpy(&drops, CMSG_DATA(item), sizeof(uint32_t))
                if control:
                    s.kernel_drops += <uint32_t>(drops - pair.rtcp_drops)
                    pair.rtcp_drops = drops
                else:
                    s.kernel_drops += <uint32_t>(drops - pair.rtp_drops)
                    pair.rtp_drops = drops
            item = CMSG_NXTHDR(message, item)
        if arrival_ns > self.seen_ns:
            self.seen_ns = clock_ns(CLOCK_MONOTONIC)
        if self.seen_ns - BELIEVED_WAIT_NS < arrival_ns <= self.seen_ns:
            return arrival_ns
        return self.seen_ns  # no date, or the wall clock was stepped since the offset was read

    cdef void _take_media(
        self, Slot* s, uint8_t state, size_t size, int64_t arrival_ns, const uint8_t* source
    ) noexcept nogil:
        if state == OPEN:
            self._keep_early(s, size, arrival_ns, source)
        elif state == STOPPED:
            s.packets_after_stop += 1
        elif is_peer(s, source, arrival_ns):
            self._count_media(s, size, arrival_ns, source)
        elif may_speak(s, source):
            self._audition(s, size, arrival_ns, source)
        else:
            s.receiver.strangers += 1

    cdef void _count_media(self, Slot* s, size_t size, int64_t arrival_ns, const uint8_t* source) noexcept nogil:
        cdef RtpHeader header
        cdef RtpVerdict verdict
        follow_format(s, self.datagram, size, arrival_ns)
        verdict = rtp_receive(&s.receiver, self.datagram, size, arrival_ns, &header)
        if verdict == RTP_IS_RTCP:
            rtcp_receive(&s.sender, &s.receiver, &s.control, self.datagram, size, arrival_ns)
            return
        if verdict <= RTP_PROBATION and s.heard_port == 0 and same_address(source, s.rtp_peer.address):
            s.heard_port = port_of(source)
        if verdict <= RTP_NEW_SSRC:
            if s.symmetric and same_address(source, s.rtp_peer.address):
                follow_source(s, source)
            if header.payload_type == s.receiver.event_payload_type:
                self._take_digit(s, &header, arrival_ns)
            elif s.format.law and header.seq % ENERGY_PACKETS == 0:
                measure(s, self.datagram + header.payload_offset, header.payload_bytes)
            if s.mode == ECHO and verdict != RTP_DUPLICATE:
                self._echo(s, &header, verdict == RTP_NEW_SSRC)

    cdef void _take_digit(self, Slot* s, const RtpHeader* header, int64_t arrival_ns) noexcept nogil:
        cdef EndedEvent ended[2]
        cdef int count = events_receive(
            &s.digits_in, self.datagram + header.payload_offset, header.payload_bytes, header.timestamp, arrival_ns,
            ended)
        cdef int i
        for i in range(count):
            self._tell_ended(s, &ended[i])

    cdef void _end_digit(self, int slot, int64_t now_ns) noexcept nogil:
        """End a digit whose end was lost."""
        cdef Slot* s = &self.slots[slot]
        cdef EndedEvent ended
        if s.digits_in.is_open and events_expire(&s.digits_in, now_ns, &ended):
            self._tell_ended(s, &ended)

    cdef void _tell_ended(self, const Slot* s, const EndedEvent* ended) noexcept nogil:
        self._tell(
            <int>(s - self.slots), DIGIT_RECEIVED, ended.code, ended.duration * 1000.0 / s.receiver.clock_hz)

    cdef void _audition(self, Slot* s, size_t size, int64_t arrival_ns, const uint8_t* source) noexcept nogil:
        """Hear who is not the negotiated peer: from the second packet in a row on it is, and the first one counts too.

        Source: RFC 3550 A.1, MIN_SEQUENTIAL.
        """
        cdef Candidate* c = &s.candidate
        cdef EarlyPacket* first = &self.early[c.place]
        cdef uint8_t second[DATAGRAM_BYTES]
        cdef RtpHeader header
        s.receiver.strangers += 1
        if rtp_read_header(self.datagram, size, &header) != RTP_OK:
            return
        if not (c.known and same_address(source, c.address) and header.ssrc == c.ssrc and header.seq == c.next_seq):
            memcpy(c.address, source, ADDRESS_BYTES)
            c.ssrc, c.next_seq, c.known, c.place = header.ssrc, header.seq + 1, 1, self.early_next
            self._keep(-s.opening, size, arrival_ns, source)
            return
        c.known = 0
        s.receiver.strangers -= 1
        if s.symmetric:
            follow_source(s, source)
        else:
            hear_from(s, port_of(source), header.ssrc)
        if first.opening == -s.opening and same_address(first.source, source):
            first.opening = 0
            s.receiver.strangers -= 1
            memcpy(second, self.datagram, size)
            memcpy(self.datagram, first.data, first.size)
            self._count_media(s, first.size, first.arrival_ns, source)
            memcpy(self.datagram, second, size)
        self._count_media(s, size, arrival_ns, source)

    cdef void _keep_early(self, Slot* s, size_t size, int64_t arrival_ns, const uint8_t* source) noexcept nogil:
        s.packets_before_start += 1
        s.early_packets += self._keep(s.opening, size, arrival_ns, source)

    cdef bint _keep(self, int64_t opening, size_t size, int64_t arrival_ns, const uint8_t* source) noexcept nogil:
        """Keep the datagram for later; returns 0 when it is too long for that."""
        cdef EarlyPacket* place = &self.early[self.early_next]
        if size > EARLY_BYTES:
            return 0
        place.opening = opening
        place.arrival_ns = arrival_ns
        place.size = size
        memcpy(place.source, source, ADDRESS_BYTES)
        memcpy(place.data, self.datagram, size)
        self.early_next = (self.early_next + 1) % EARLY_PACKETS
        return 1

    cdef void _count_early(self, Slot* s) noexcept nogil:
        """Take what came before the start as if it came now, by its own arrival times; an echo does not repeat it.

        Meanwhile packets may be kept anew, as those of a candidate, in places that were passed already.
        """
        cdef EarlyPacket* place
        cdef uint8_t source[ADDRESS_BYTES]
        cdef uint32_t oldest = self.early_next
        cdef uint32_t i
        cdef uint8_t muted = s.muted
        if s.early_packets == 0:
            return
        s.muted = 1
        for i in range(EARLY_PACKETS):
            place = &self.early[(oldest + i) % EARLY_PACKETS]
            if place.opening == s.opening:
                place.opening = 0
                memcpy(self.datagram, place.data, place.size)
                memcpy(source, place.source, ADDRESS_BYTES)
                self._take_media(s, ACTIVE, place.size, place.arrival_ns, source)
                s.packets_before_start -= 1
        s.muted = muted
        s.early_packets = 0
        s.early_counted = s.receiver.received_before + s.receiver.received

    cdef void _take_control(
        self, Slot* s, uint8_t state, size_t size, int64_t arrival_ns, const uint8_t* source
    ) noexcept nogil:
        """A report may still come after the stream has ended: the peer's last one, with its BYE."""
        cdef bint is_peers = same_host(source, s.rtcp_peer.address)
        if state == OPEN or not (is_peers or (arrival_ns < s.former_until_ns and same_host(source, s.former))):
            s.rtcp_strangers += 1
        elif (
            rtcp_receive(&s.sender, &s.receiver, &s.control, self.datagram, size, arrival_ns) <= RTCP_BYE_RECEIVED
            and s.symmetric_control
            and is_peers
        ):
            s.symmetric_control = 0
            memcpy(s.rtcp_peer.address, source, ADDRESS_BYTES)
            s.rtcp_wanted = 1

    cdef void _echo(self, Slot* s, const RtpHeader* header, bint is_new_source) noexcept nogil:
        cdef int64_t now_ns = clock_ns(CLOCK_MONOTONIC)
        if s.muted:
            return
        if not s.echo_started:
            s.echo_offset = s.sender.first_timestamp - header.timestamp
            s.echo_started = 1
        elif is_new_source:         # its timestamps are others; ours go on
            s.echo_offset = rtp_timestamp_at(&s.sender, now_ns) - header.timestamp
        memcpy(self.packet + RTP_HEADER_BYTES, self.datagram + header.payload_offset, header.payload_bytes)
        s.sender.payload_type = header.payload_type  # of an event
        if header.payload_type == s.format.payload_type:
            s.sender.payload_type = s.format.echo_as
        rtp_stamp_as(
            &s.sender, self.packet, header.payload_bytes, header.timestamp + s.echo_offset, header.marker, now_ns)
        self._send_media(s, header.payload_bytes)

    cdef void _drain_errors(self, Slot* s, const Pair* pair, bint control) noexcept nogil:
        """Count the ICMP errors that came back. Source: ip(7), IP_RECVERR."""
        cdef uint8_t source[ADDRESS_BYTES]
        cdef msghdr message
        cdef iovec buffer
        cdef int budget = BURST
        while budget > 0:
            prepare(&message, &buffer, self.datagram, DATAGRAM_BYTES, <uint8_t*>self.ancillary, source)
            if receive_message(pair.rtcp_fd if control else pair.rtp_fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0:
                return
            if control:
                s.rtcp_send_errors += 1
            else:
                s.network_errors += 1
            budget -= 1

    cdef void _note(
        self, const Slot* s, uint16_t local_port, bint sent, bint control, const uint8_t* data, size_t size,
        int64_t at_ns, const uint8_t* remote
    ) noexcept nogil:
        """Keep a packet wherever it is wanted.

        Args:
            control: it passed through our port of RTCP.
        """
        cdef LogEntry entry
        if self.tracing:
            self._trace(local_port, sent, control, data, size, at_ns, remote)
        if s.log == NULL and self.control_log == NULL:
            return
        memset(&entry, 0, sizeof(LogEntry))
        entry.at_ns, entry.label, entry.size = at_ns + self.offset_ns, s.label, size
        entry.local_port, entry.sent = local_port + control, sent
        entry.control = control or (size >= 2 and 192 <= data[1] <= 223)
        memcpy(entry.remote, remote, ADDRESS_BYTES)
        if s.log != NULL:
            log_packet(s.log, &entry, data)
        if self.control_log != NULL and entry.control:
            log_packet(self.control_log, &entry, data)

    cdef void _trace(
        self, uint16_t local_port, bint sent, bint control, const uint8_t* data, size_t size, int64_t at_ns,
        const uint8_t* remote
    ) noexcept nogil:
        """Note a packet for `take_trace`; what finds no room is counted, for the thread waits for nobody."""
        cdef TraceEntry* entry = &self.trace[self.traced % TRACE_ENTRIES]
        if self.traced - self.trace_taken == TRACE_ENTRIES:
            self.trace_lost += 1
            return
        self.traced += 1
        memset(entry, 0, sizeof(TraceEntry))
        entry.at_ns = at_ns + self.offset_ns
        entry.size = size
        entry.sent = sent
        entry.local_port = local_port + control
        memcpy(entry.remote, remote, ADDRESS_BYTES)
        entry.control = control or (size >= 2 and 192 <= data[1] <= 223)
        if entry.control:
            entry.payload_type = data[1] if size >= 2 else 0
            entry.ssrc = get32(data + 4) if size >= 8 else 0
        elif size >= RTP_HEADER_BYTES:
            entry.payload_type = data[1] & 0x7F
            entry.marker = data[1] >> 7
            entry.seq = <uint16_t>get32(data)
            entry.timestamp = get32(data + 4)
            entry.ssrc = get32(data + 8)

    # slots

    cdef int _adopt(self, const Pair* pair, int family) noexcept nogil:
        """Return a free slot that now watches both sockets of a pair; -1 when there is none or the kernel refuses."""
        cdef uint8_t* place = <uint8_t*>memchr(self.states, FREE, self.slot_count)
        cdef Slot* s
        cdef int slot
        if place == NULL:
            return -1
        slot = place - self.states
        if not self._watch_pair(pair, slot, 0):
            return -1
        s = &self.slots[slot]
        memset(s, 0, sizeof(Slot))
        s.pairs[0], s.family = pair[0], family
        s.pairs[1].rtp_fd = s.pairs[1].rtcp_fd = -1
        self.openings += 1
        s.opening = self.openings
        self._clear(s)
        self.next_due[slot] = INT64_MAX
        self.states[slot] = OPEN
        self.open_count += 1
        self.high_water = max(self.high_water, slot + 1)
        return slot

    cdef Pair* _beside(self, int slot) noexcept nogil:
        """Return the pair of a slot that is not sent from."""
        return &self.slots[slot].pairs[self.slots[slot].side ^ 1]

    cdef bint _watch_pair(self, const Pair* pair, int slot, int side) noexcept nogil:
        cdef uint64_t tag = <uint64_t>slot << 2 | side << 1
        if not self._watch(pair.rtp_fd, tag):
            return 0
        if not self._watch(pair.rtcp_fd, tag | 1):
            epoll_ctl(self.epoll_fd, EPOLL_CTL_DEL, pair.rtp_fd, NULL)
            return 0
        return 1

    cdef void _unwatch(self, const Pair* pair) noexcept nogil:
        if pair.rtp_fd >= 0:
            epoll_ctl(self.epoll_fd, EPOLL_CTL_DEL, pair.rtp_fd, NULL)
            epoll_ctl(self.epoll_fd, EPOLL_CTL_DEL, pair.rtcp_fd, NULL)

    cdef bint _watch(self, int fd, uint64_t tag) noexcept nogil:
        cdef epoll_event event
        event.events = EPOLLIN
        event.data.u64 = tag
        return epoll_ctl(self.epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0

    cdef void _clear(self, Slot* s) noexcept nogil:
        """Begin every figure of the slot anew; packets_before_start stays, it tells of the time before."""
        cdef BufferSettings buffer = usual_buffer()
        rtp_sender_open(&s.sender, 0, SECOND_NS, SECOND_NS, 0, 0, 0, 1, 1, 0)
        rtp_sender_stop(&s.sender)
        rtp_receiver_open(&s.receiver, 1, 0, NO_PAYLOAD_TYPE, 0, &buffer)
        rtcp_open(&s.control, self.packet, 0, self.offset_ns, 0, 0, 0)
        s.packets_after_stop = s.kernel_drops = s.rtcp_strangers = s.rtcp_send_errors = 0
        s.network_errors = 0
        clear_levels(s)
        events_clear(&s.digits_out, &s.digits_in)
        s.early_counted = 0
        s.received_at_mute = -1
        s.echo_started = 0
        s.source_began = 0
        s.muted = 0
        s.former_until_ns = 0

    cdef void _set_peers(
        self, Slot* s, const Peer* rtp_peer, const Peer* rtcp_peer, bint symmetric
    ) noexcept nogil:
        s.rtp_peer = rtp_peer[0]
        s.rtcp_peer = rtcp_peer[0]
        s.rtcp_wanted = port_of(rtcp_peer.address) != 0
        s.heard_port = 0
        s.began_elsewhere = 0
        s.symmetric = symmetric
        s.symmetric_control = 0
        s.candidate.known = 0

    cdef void _end(self, int slot) noexcept nogil:
        cdef Slot* s = &self.slots[slot]
        if self.states[slot] != ACTIVE:
            return
        self._read_offset()
        self._drain_pair(slot, &s.pairs[0])
        self._drain_pair(slot, &s.pairs[1])
        rtp_sender_stop(&s.sender)
        self._end_digit(slot, INT64_MAX)
        self.next_due[slot] = INT64_MAX
        if s.sender.packets_sent or s.control.rtcp_sent:  # RFC 3550 6.3.7: who never sent anything says no BYE
            self._send_report(s, 1)
        self.states[slot] = STOPPED

    cdef void _forget(self, int slot) noexcept nogil:
        cdef Slot* s = &self.slots[slot]
        cdef int i
        self._unwatch(&s.pairs[0])
        self._unwatch(&s.pairs[1])
        for i in range(self.told_count):
            if self.told[i].slot == slot:
                self.told[i].slot = -1
        self.states[slot] = FREE
        self.open_count -= 1


cdef inline void fetch_sending(const Slot* s) noexcept nogil:
    """Ask for the memory that a packet of this slot touches when it leaves."""
    fetch_lines(&s.digits_out.first, &s.ready_tick)


cdef inline void fetch_receiving(const Slot* s) noexcept nogil:
    """Ask for the memory that a packet touches that comes for this slot."""
    fetch_lines(&s.rtp_peer, &s.receiver.spacing[1])


cdef inline void fetch_reporting(const Slot* slots, int first, int end) noexcept nogil:
    """Ask for what tells whether something of every REPORT_TICKS-th slot is due."""
    while first < end:
        fetch_lines(&slots[first].digits_in, &slots[first].control.sent_ns)
        first += REPORT_TICKS


cdef void close_pair(Pair pair) noexcept nogil:
    if pair.rtp_fd >= 0:
        close(pair.rtp_fd)
        close(pair.rtcp_fd)


cdef bint is_peer(const Slot* s, const uint8_t* source, int64_t arrival_ns) noexcept nogil:
    """Tell whether RTP from `source` is the stream's; see the head of this file."""
    cdef uint16_t port = port_of(source)
    if same_host(source, s.rtp_peer.address):
        if port == s.heard_port or (s.heard_port == 0 and port == port_of(s.rtp_peer.address)):
            return 1
    return arrival_ns < s.former_until_ns and same_address(source, s.former)


cdef bint may_speak(const Slot* s, const uint8_t* source) noexcept nogil:
    """Tell whether `source`, which is not the peer, may become it."""
    if s.symmetric:
        return 1
    if not same_host(source, s.rtp_peer.address):
        return 0
    return s.heard_port == 0 or port_of(source) == port_of(s.rtp_peer.address)


cdef void hear_from(Slot* s, uint16_t port, uint32_t ssrc) noexcept nogil:
    """Take RTP from this port of the peer's. What another source said so far, from another port, was not the peer's."""
    cdef BufferSettings buffer = s.receiver.buffer.settings
    cdef int64_t strangers = s.receiver.strangers + s.receiver.discarded_packets + s.receiver.held.held
    strangers += s.receiver.received_before + s.receiver.received
    if s.began_elsewhere and s.receiver.ssrc != ssrc:
        rtp_receiver_open(
            &s.receiver, s.receiver.clock_hz, s.receiver.payload_type, s.receiver.event_payload_type,
            s.receiver.late_limit_ns, &buffer)
        s.receiver.strangers = strangers
        clear_levels(s)
    s.began_elsewhere = port != port_of(s.rtp_peer.address) and not s.receiver.started
    s.heard_port = port


cdef void leave_peer(Slot* s, int64_t now_ns) noexcept nogil:
    """Remember where RTP came from: packets are under way when the peer moves."""
    memcpy(s.former, s.rtp_peer.address, ADDRESS_BYTES)
    if s.heard_port:
        set_port(s.former, s.heard_port)
    s.former_until_ns = now_ns + FORMER_NS


cdef void follow_source(Slot* s, const uint8_t* source) noexcept nogil:
    """Send to `source` from now on, for good. Its RTCP is taken to be next to its RTP until it has said otherwise."""
    cdef uint16_t port = port_of(source)
    cdef bint shared = s.rtcp_wanted and port_of(s.rtcp_peer.address) == port_of(s.rtp_peer.address)
    s.symmetric = 0
    s.heard_port = port
    if same_address(source, s.rtp_peer.address):
        return
    memcpy(s.rtp_peer.address, source, ADDRESS_BYTES)
    memcpy(s.rtcp_peer.address, source, ADDRESS_BYTES)
    if not shared:
        set_port(s.rtcp_peer.address, htons(ntohs(port) + 1))
    s.symmetric_control = not shared


cdef inline void follow_format(Slot* s, const uint8_t* data, size_t size, int64_t arrival_ns) noexcept nogil:
    """Measure what the packet is encoded in, when that is another format than so far and may come."""
    cdef RtpHeader header
    if size < RTP_HEADER_BYTES:
        return
    if (data[1] & 0x7F) != s.format.payload_type or arrival_ns > s.format.until_ns:
        if rtp_read_header(data, size, &header) == RTP_OK:
            choose_format(s, header.payload_type, arrival_ns)


cdef void choose_format(Slot* s, uint8_t payload_type, int64_t arrival_ns) noexcept nogil:
    """Take the format of this number, if it may come; leave one that may not come any more."""
    cdef bint expired = arrival_ns > s.format.until_ns
    cdef int i
    for i in range(s.format_count):
        if s.formats[i].payload_type == payload_type and arrival_ns <= s.formats[i].until_ns:
            set_format(s, i)
            return
    if expired:
        set_format(s, 0)


cdef void set_format(Slot* s, int place) noexcept nogil:
    cdef bint is_other = s.format.payload_type != s.formats[place].payload_type
    s.format = s.formats[place]
    if is_other or s.format.clock_hz != s.receiver.clock_hz:
        rtp_change_payload(
            &s.receiver, s.format.clock_hz, s.format.payload_type, s.receiver.event_payload_type)


cdef void replace_formats(Slot* s, const Format* found, int count, int64_t now_ns) noexcept nogil:
    """Let `found` come; what came before them still may for FORMER_NS, as far as there is room."""
    cdef Format former[FORMATS]
    cdef int former_count = s.format_count
    cdef int i
    memcpy(former, s.formats, sizeof(former))
    memcpy(s.formats, found, count * sizeof(Format))
    s.format_count = count
    for i in range(former_count):
        if s.format_count < FORMATS and place_of(s, former[i].payload_type) < 0:
            s.formats[s.format_count] = former[i]
            s.formats[s.format_count].until_ns = min(former[i].until_ns, now_ns + FORMER_NS)
            s.format_count += 1
    set_format(s, max(0, place_of(s, s.format.payload_type)))


cdef int place_of(const Slot* s, uint8_t payload_type) noexcept nogil:
    cdef int i
    for i in range(s.format_count):
        if s.formats[i].payload_type == payload_type:
            return i
    return -1


cdef void clear_levels(Slot* s) noexcept nogil:
    memset(s.levels, 0, sizeof(s.levels))


cdef void measure(Slot* s, const uint8_t* payload, uint32_t size) noexcept nogil:
    cdef const int32_t* squares = SQUARES[s.format.law]
    cdef int64_t energy = 0
    cdef uint32_t i
    cdef int place
    if size == 0:
        return
    for i in range(size):
        energy += squares[payload[i]]
    place = <int>max(0.0, min(100.0, -to_dbov(<double>energy, size)))
    s.levels[place].energy += energy
    s.levels[place].samples += size


cdef inline double to_dbov(double energy, int64_t samples) noexcept nogil:
    return max(LEVEL_FLOOR_DBOV, 10.0 * log10(energy / samples / FULL_SCALE)) if energy > 0.0 else LEVEL_FLOOR_DBOV


cdef int split_levels(const Slot* s, double* speech_dbov, double* noise_dbov) noexcept nogil:
    """Tell speech and pauses apart by the level of packets; return 1 for speech, plus 2 for pauses.

    From the loudest down, packets are speech until one is SPEECH_MARGIN_DB below the mean of those before it.
    """
    cdef double energy = 0.0
    cdef double rest = 0.0
    cdef int64_t samples = 0
    cdef int64_t rest_samples = 0
    cdef bint speech = 1
    cdef int i
    for i in range(LEVEL_BINS):
        if s.levels[i].samples == 0:
            continue
        if speech:
            speech = i <= -SPEECH_FLOOR_DBOV
            speech = speech and (samples == 0 or to_dbov(energy, samples) + i < SPEECH_MARGIN_DB)
        if speech:
            energy += s.levels[i].energy
            samples += s.levels[i].samples
        else:
            rest += s.levels[i].energy
            rest_samples += s.levels[i].samples
    if samples:
        speech_dbov[0] = to_dbov(energy, samples)
    if rest_samples:
        noise_dbov[0] = to_dbov(rest, rest_samples)
    return (samples > 0) | (rest_samples > 0) << 1


cdef void rate_levels(Slot* s) noexcept nogil:
    """Put the levels of what came into our next extended report, in dBm0."""
    cdef double speech = 0.0
    cdef double noise = 0.0
    cdef int found = split_levels(s, &speech, &noise)
    s.control.rating.signal_level_db = <int8_t>lrint(speech + DBM0_OF_DBOV) if found & 1 else LEVEL_UNKNOWN
    s.control.rating.noise_level_db = <int8_t>lrint(noise + DBM0_OF_DBOV) if found & 2 else LEVEL_UNKNOWN


cdef void add_histogram(Histogram* into, const Histogram* other) noexcept nogil:
    cdef int i
    if other.count == 0:
        return
    into.min = other.min if into.count == 0 else min(into.min, other.min)
    into.max = other.max if into.count == 0 else max(into.max, other.max)
    into.count += other.count
    into.zero_count += other.zero_count
    into.sum += other.sum
    for i in range(HISTOGRAM_BUCKETS):
        into.buckets[i] += other.buckets[i]


cdef object _look(Slot* s):
    cdef double speech = 0.0
    cdef double noise = 0.0
    cdef int found = split_levels(s, &speech, &noise)
    cdef int64_t energy = 0
    cdef int64_t samples = 0
    cdef int i
    for i in range(LEVEL_BINS):
        energy += s.levels[i].energy
        samples += s.levels[i].samples
    return stream_snapshot(&s.sender, &s.receiver, &s.control)._replace(
        packets_before_start=s.packets_before_start, packets_after_stop=s.packets_after_stop,
        kernel_drops=s.kernel_drops, rtcp_strangers=s.rtcp_strangers, rtcp_send_errors=s.rtcp_send_errors,
        network_errors=s.network_errors, early_packets=s.early_counted,
        packets_at_mute=s.received_at_mute if s.received_at_mute >= 0 else None,
        received_energy=<double>energy, received_samples=samples,
        signal_level_dbov=speech if found & 1 else None, noise_level_dbov=noise if found & 2 else None,
        received_level_dbov=to_dbov(<double>energy, samples) if samples else None)


cdef PacketLog* _room_of(log) except? NULL:
    """Return the memory of a log, which stays where it is while the log lives; NULL for None."""
    cdef bytearray buffer
    if log is None:
        return NULL
    buffer = log.buffer
    return <PacketLog*>PyByteArray_AS_STRING(buffer)


cdef object _traced_packet(const TraceEntry* entry):
    cdef const sockaddr_in* v4 = <const sockaddr_in*>entry.remote
    cdef const sockaddr_in6* v6 = <const sockaddr_in6*>entry.remote
    if family_of(entry.remote) == AF_INET6:
        ip = socket.inet_ntop(AF_INET6, (<const char*>&v6.sin6_addr)[:16])
    else:
        ip = socket.inet_ntop(AF_INET, (<const char*>&v4.sin_addr)[:4])
    return TracedPacket(
        entry.at_ns, bool(entry.sent), bool(entry.control), entry.local_port, ip, socket.ntohs(port_of(entry.remote)),
        entry.ssrc, entry.seq, entry.timestamp, entry.payload_type, bool(entry.marker), entry.size)


_STATIC_CODECS = {PCMU: "PCMU", PCMA: "PCMA"}
_LAWS = {"PCMU": 1, "PCMA": 2}


cdef int _require_sendable(int payload_type, uint32_t clock_hz, int ptime_ms) except -1:
    if not 0 <= payload_type <= 127 or clock_hz == 0 or not 1 <= ptime_ms <= 1000:
        raise LocalProtocolError(
            f"expected payload_type 0 .. 127, clock_hz > 0 and ptime_ms 1 .. 1000, "
            f"got {payload_type}, {clock_hz} and {ptime_ms}")
    return 0


cdef int _read_formats(Format* into, formats) except -1:
    """Write each `ReceivedFormat` and return how many; clears what is left of the FORMATS places."""
    cdef int count = 0
    if not 1 <= len(formats) <= FORMATS:
        raise LocalProtocolError(f"expected 1 .. {FORMATS} received formats, got {len(formats)}")
    memset(into, 0, FORMATS * sizeof(Format))
    for payload_type, codec, clock_hz, echo_as in formats:
        if not 0 <= payload_type <= 127 or not 0 <= echo_as <= 127 or not 1 <= clock_hz <= 10_000_000:
            raise LocalProtocolError(f"expected payload types of 0 .. 127 and a clock, got {payload_type}, {clock_hz}")
        into[count] = Format(INT64_MAX, clock_hz, payload_type, _LAWS.get(codec, 0), echo_as)
        count += 1
    return count


cdef int _set_peer(Peer* peer, int family, str ip, int port) except -1:
    """Fill in an address to send to; refuses names and the other family."""
    cdef sockaddr_in* v4 = <sockaddr_in*>peer.address
    cdef sockaddr_in6* v6 = <sockaddr_in6*>peer.address
    kind = "IPv6" if family == AF_INET6 else "IPv4"
    if not 0 <= port <= 65535:
        raise LocalProtocolError(f"remote port {port}: expected 0 .. 65535")
    try:
        where = socket.getaddrinfo(ip, port, family, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)[0][4]
    except socket.gaierror:
        raise LocalProtocolError(f"remote_ip {ip!r}: expected a literal {kind} address, as the slot has") from None
    packed = socket.inet_pton(family, where[0].partition("%")[0])
    memset(peer, 0, sizeof(Peer))
    if family == AF_INET6:
        v6.sin6_family = family
        v6.sin6_port = socket.htons(port)
        v6.sin6_scope_id = where[3]
        memcpy(&v6.sin6_addr, <const char*>packed, 16)
        peer.size = sizeof(sockaddr_in6)
    else:
        v4.sin_family = family
        v4.sin_port = socket.htons(port)
        memcpy(&v4.sin_addr, <const char*>packed, 4)
        peer.size = sizeof(sockaddr_in)
    return 0


def _bound_pair(str ip, int rtp_port, int dscp):
    """Return the sockets of RTP and RTCP."""
    rtp = _bound_socket(ip, rtp_port, dscp)
    try:
        return rtp, _bound_socket(ip, rtp_port + 1, dscp)
    except BaseException:
        rtp.close()
        raise


def _bound_socket(str ip, int port, int dscp):
    """Return a non-blocking UDP socket that dates what it receives, counts what it drops and hears ICMP errors."""
    if not 1 <= port <= 65535 or not 0 <= dscp <= 63:
        raise LocalProtocolError(f"expected a port in 1 .. 65535 and a dscp in 0 .. 63, got {port} and {dscp}")
    cdef int family = AF_INET6 if ":" in ip else AF_INET
    try:
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        if error.errno in (errors.EMFILE, errors.ENFILE):
            raise CapacityError(
                f"no descriptor left for a media socket: {error.strerror}", resource="descriptors") from error
        raise
    try:
        made.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1)
        made.setsockopt(SOL_SOCKET, SO_RXQ_OVFL, 1)
        if family == AF_INET6:
            made.setsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(IPPROTO_IPV6, IPV6_RECVERR, 1)
            made.setsockopt(IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        else:
            made.setsockopt(IPPROTO_IP, IP_RECVERR, 1)
            made.setsockopt(IPPROTO_IP, socket.IP_TOS, dscp << 2)
        made.bind((ip, port))
    except BaseException:
        made.close()
        raise
    return made

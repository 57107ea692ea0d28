# cython: language_level=3
"""What a machine can do without us: the least that packets cost on it, and whether it let a thread run in time.

There is no twin: both are about what a core does, and plain Python would measure itself.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clockid_t

from cmw._rtp cimport Histogram, histogram_clear, histogram_dict, histogram_record
from cmw.net._linux cimport *
from cmw.net._sockets cimport *


cdef enum:
    EVENTS = 512                    # sockets that one epoll_wait may name
    PACKET_BYTES = 172              # 20 ms of G.711 and the RTP header
    PERIOD_NS = 20000000
    DATAGRAM_BYTES = 2048
    SPAN_TICKS = 20                 # of which the speed of the core is averaged
    SPANS = 65536


cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int, const char*, void*)
    uint16_t htons(uint16_t)


cdef extern from "<sys/socket.h>" nogil:
    ssize_t sendto(int, const void*, size_t, int, const sockaddr*, socklen_t)
    ssize_t recvfrom(int, void*, size_t, int, sockaddr*, socklen_t*)


cdef extern from "<time.h>" nogil:
    clockid_t CLOCK_THREAD_CPUTIME_ID


def exchange(list descriptors not None, list peers not None, double seconds, int tick_us=1000):
    """Send 172 bytes from each socket to its peer every 20 ms and read what comes; nothing else.

    A grid, sendto, epoll and recvfrom: no statistics, no time stamps of the kernel, no RTCP.

    Args:
        descriptors: of bound UDP sockets over IPv4 that do not block.
        peers: for each, (address, port).

    Returns:
        Packets sent, packets received, and the CPU nanoseconds of this thread.
    """
    cdef int count = len(descriptors)
    cdef int i
    cdef Peer* names = <Peer*>calloc(count, sizeof(Peer))
    cdef int* sockets = <int*>calloc(count, sizeof(int))
    cdef int epoll = epoll_create1(EPOLL_CLOEXEC)
    cdef epoll_event event
    cdef int64_t counts[3]
    if count != len(peers) or not 100 <= tick_us <= 20000:
        raise ValueError(f"expected a peer for each socket and tick_us in 100 .. 20000, got {len(peers)} and {tick_us}")
    try:
        for i in range(count):
            sockets[i] = descriptors[i]
            _name(&names[i], peers[i][0].encode(), peers[i][1])
            event.events = EPOLLIN
            event.data.u64 = sockets[i]
            if epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i], &event) != 0:
                raise OSError(errno, "epoll_ctl")
        with nogil:
            _exchange(epoll, sockets, names, count, <int64_t>(seconds * SECOND_NS), tick_us * 1000, counts)
        return counts[0], counts[1], counts[2]
    finally:
        close(epoll)
        free(names)
        free(sockets)


cdef _name(Peer* peer, bytes ip, int port):
    cdef sockaddr_in* name = <sockaddr_in*>peer.address
    name.sin_family = AF_INET
    name.sin_port = htons(port)
    peer.size = sizeof(sockaddr_in)
    if inet_pton(AF_INET, ip, &name.sin_addr) != 1:
        raise ValueError(f"expected an IPv4 address, got {ip.decode()}")


cdef void _exchange(
    int epoll, const int* sockets, const Peer* names, int count, int64_t span_ns, int64_t tick_ns, int64_t* counts
) noexcept nogil:
    cdef uint8_t packet[PACKET_BYTES]
    cdef int phases = <int>(PERIOD_NS // tick_ns)
    cdef int64_t sent = 0
    cdef int64_t received = 0
    cdef int64_t began_ns = clock_ns(CLOCK_MONOTONIC)
    cdef int64_t wake_ns = began_ns - began_ns % tick_ns + tick_ns
    cdef int64_t end_ns = wake_ns + span_ns
    cdef int64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID)
    cdef int i
    memset(packet, 0, PACKET_BYTES)
    packet[0] = 0x80
    prctl(PR_SET_TIMERSLACK, 1)
    while wake_ns < end_ns:
        sleep_until(wake_ns)
        i = <int>(wake_ns // tick_ns % phases)
        while i < count:
            sent += sendto(
                sockets[i], packet, PACKET_BYTES, 0, <const sockaddr*>names[i].address, names[i].size
            ) > 0
            i += phases
        received += _drain(epoll)
        wake_ns += tick_ns
    counts[0], counts[1], counts[2] = sent, received, clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns


cdef int64_t _drain(int epoll) noexcept nogil:
    cdef epoll_event ready[EVENTS]
    cdef uint8_t heard[DATAGRAM_BYTES]
    cdef uint8_t source[ADDRESS_BYTES]
    cdef socklen_t size
    cdef int64_t received = 0
    cdef int found = EVENTS
    cdef int i
    while found == EVENTS:
        found = epoll_wait(epoll, ready, EVENTS, 0)
        for i in range(found):
            size = ADDRESS_BYTES
            received += recvfrom(<int>ready[i].data.u64, heard, DATAGRAM_BYTES, 0, <sockaddr*>source, &size) > 0
    return received


@cython.final
cdef class ClockReader:
    """Wake on a grid and read the clock: what is late here was not let run. And do the same small work each time, if
    wanted, that touches no memory: where it takes longer, the core was slower.

    Args:
        tick_us: the grid, 100 .. 20000 microseconds.
        steps: multiplications at each point of the grid, each of the result before; 3,000 take some microseconds.
    """

    cdef Histogram lateness         # microseconds, of every point of the grid
    cdef int64_t tick_ns
    cdef int64_t cpu_ns
    cdef int64_t steps
    cdef uint64_t product
    cdef float took_ns[SPANS]       # mean of each span of SPAN_TICKS wake-ups
    cdef int span_count
    cdef bint stopping

    def __cinit__(self, *, int tick_us=1000, int steps=0):
        if not 100 <= tick_us <= 20000 or steps < 0:
            raise ValueError(f"expected tick_us in 100 .. 20000 and steps not below 0, got {tick_us} and {steps}")
        self.tick_ns = tick_us * 1000
        self.steps = steps
        self.product = 1
        histogram_clear(&self.lateness)

    def read_clock(self) -> None:
        """Be the thread until `stop`. A point of the grid that was slept through counts with its own lateness."""
        with nogil:
            self._loop()

    def stop(self) -> None:
        """Have `read_clock` return."""
        self.stopping = True

    def result(self) -> tuple[dict, float]:
        """Return the lateness of every point of the grid, for `cmw.metrics.histogram`, and the CPU seconds it took."""
        return histogram_dict(&self.lateness), self.cpu_ns / 1e9

    def spans(self) -> list[float]:
        """Return the nanoseconds that the work took, the mean of each 20 wake-ups; of the first 65,536 such spans."""
        return [self.took_ns[i] for i in range(self.span_count)]

    cdef void _loop(self) noexcept nogil:
        cdef int64_t now_ns = clock_ns(CLOCK_MONOTONIC)
        cdef int64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID)
        cdef int64_t wake_ns = now_ns - now_ns % self.tick_ns + self.tick_ns
        cdef int64_t took_ns = 0
        cdef int ticks = 0
        prctl(PR_SET_TIMERSLACK, 1)
        while not self.stopping:
            sleep_until(wake_ns)
            now_ns = clock_ns(CLOCK_MONOTONIC)
            if self.steps:
                self._work()
                took_ns += clock_ns(CLOCK_MONOTONIC) - now_ns
                ticks += 1
                if ticks == SPAN_TICKS:
                    self._note_span(<float>took_ns / SPAN_TICKS)
                    took_ns = ticks = 0
            while wake_ns <= now_ns:
                histogram_record(&self.lateness, (now_ns - wake_ns) / 1000.0)
                wake_ns += self.tick_ns
        self.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns

    cdef void _work(self) noexcept nogil:
        cdef uint64_t product = self.product
        cdef int64_t _step
        for _step in range(self.steps):
            product = product * 6364136223846793005U + 1442695040888963407U
        self.product = product

    cdef void _note_span(self, float took_ns) noexcept nogil:
        if self.span_count < SPANS:
            self.took_ns[self.span_count] = took_ns
            self.span_count += 1

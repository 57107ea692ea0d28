# cython: language_level=3
"""Clocks, addresses and datagrams of the media engine, without the GIL."""

from libc.errno cimport EAGAIN, EINTR, ENOBUFS, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp
from posix.time cimport CLOCK_MONOTONIC, TIMER_ABSTIME, clock_gettime, clock_nanosleep, clockid_t, timespec

from cmw.net._linux cimport *


cdef enum:
    ADDRESS_BYTES = 28              # sockaddr_in6, the longer of both
    ANCILLARY_BYTES = 256           # more than the time stamp, the drop counter and an ICMP error take
    ANCILLARY_WORDS = 32            # the same in words of 8 bytes

cdef enum:
    SECOND_NS = 1000000000


cdef struct Peer:
    uint8_t address[ADDRESS_BYTES]  # sockaddr_in or sockaddr_in6
    socklen_t size


cdef inline int64_t clock_ns(clockid_t clock) noexcept nogil:
    cdef timespec t
    clock_gettime(clock, &t)
    return t.tv_sec * SECOND_NS + t.tv_nsec


cdef inline int family_of(const uint8_t* address) noexcept nogil:
    return (<const sockaddr_in*>address).sin_family


cdef inline uint16_t port_of(const uint8_t* address) noexcept nogil:
    # sin_port and sin6_port lie at the same place
    return (<const sockaddr_in*>address).sin_port


cdef inline void set_port(uint8_t* address, uint16_t port) noexcept nogil:
    (<sockaddr_in*>address).sin_port = port


cdef inline uint32_t get32(const uint8_t* data) noexcept nogil:
    return <uint32_t>data[0] << 24 | <uint32_t>data[1] << 16 | <uint32_t>data[2] << 8 | data[3]


cdef inline bint same_address(const uint8_t* one, const uint8_t* other) noexcept nogil:
    return port_of(one) == port_of(other) and same_host(one, other)


cdef inline bint same_host(const uint8_t* one, const uint8_t* other) noexcept nogil:
    if family_of(one) != family_of(other):
        return 0
    if family_of(one) == AF_INET:
        return (<const sockaddr_in*>one).sin_addr.s_addr == (<const sockaddr_in*>other).sin_addr.s_addr
    return memcmp(&(<const sockaddr_in6*>one).sin6_addr, &(<const sockaddr_in6*>other).sin6_addr, sizeof(in6_addr)) == 0


cdef inline void sleep_until(int64_t at_ns) noexcept nogil:
    cdef timespec at
    at.tv_sec = at_ns // SECOND_NS
    at.tv_nsec = at_ns % SECOND_NS
    while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR:
        pass


# Both as the functions of that name, without what a cancellation point of threads costs at each call.
cdef inline ssize_t send_to(int fd, const uint8_t* data, size_t size, const Peer* peer) noexcept nogil:
    return syscall(SYS_sendto, fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, peer.address, peer.size)


cdef inline ssize_t receive_message(int fd, msghdr* message, int flags) noexcept nogil:
    return syscall(SYS_recvmsg, fd, message, flags)


cdef inline bint transmit(int fd, const uint8_t* data, size_t size, const Peer* peer) noexcept nogil:
    """Send; once more after an error, which may be the ICMP answer to an earlier packet. Returns 0 with errno set."""
    cdef int _attempt
    for _attempt in range(2):
        if send_to(fd, data, size, peer) >= 0:
            return 1
        if errno == EAGAIN or errno == ENOBUFS:
            return 0
    return 0


cdef inline void prepare(
    msghdr* message, iovec* buffer, uint8_t* data, size_t size, uint8_t* ancillary, uint8_t* source
) noexcept nogil:
    buffer.iov_base = data
    buffer.iov_len = size
    message.msg_name = source
    message.msg_namelen = ADDRESS_BYTES
    message.msg_iov = buffer
    message.msg_iovlen = 1
    message.msg_control = ancillary
    message.msg_controllen = ANCILLARY_BYTES
    message.msg_flags = 0

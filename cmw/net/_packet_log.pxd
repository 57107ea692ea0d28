# cython: language_level=3
"""Whole datagrams of a call, written into memory that somebody else owns. Twin: cmw/net/packet_log.py, which reads it.

    head | entry data, entry data, ... the first ones | entry data, ... a ring: the last ones

An entry and its data take whole words of 8 bytes and are never split by the end of the ring.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from cmw.net._sockets cimport ADDRESS_BYTES


cdef enum:
    LOGGED_BYTES = 1500             # more of a datagram is not kept


# Bytes, but for the counts.
cdef struct PacketLog:
    int64_t first_bytes             # room for the first packets
    int64_t last_bytes              # room for the last ones, behind it
    int64_t first_used
    int64_t head                    # of the ring: where the next entry goes
    int64_t tail                    # its oldest entry
    int64_t wrap                    # where its entries end before they go on at 0; 0 while they do not
    int64_t left_out                # packets that are not here any more, or never were
    int64_t is_full                 # the room for the first ones


cdef struct LogEntry:
    int64_t at_ns                   # wall clock
    int64_t label                   # of the slot
    uint32_t size                   # of the datagram
    uint16_t kept                   # bytes of it that follow
    uint16_t local_port
    uint8_t sent
    uint8_t control
    uint8_t unused[2]
    uint8_t remote[ADDRESS_BYTES]


cdef inline void log_packet(PacketLog* log, LogEntry* entry, const uint8_t* data) noexcept nogil:
    """Keep a packet, instead of the oldest of the last ones when there is no room; `kept` is filled in."""
    cdef uint8_t* room = <uint8_t*>log + sizeof(PacketLog)
    cdef int64_t need
    entry.kept = <uint16_t>min(entry.size, <uint32_t>LOGGED_BYTES)
    need = (<int64_t>sizeof(LogEntry) + entry.kept + 7) & ~<int64_t>7
    if not log.is_full and log.first_used + need <= log.first_bytes:
        room += log.first_used
        log.first_used += need
    else:
        log.is_full = 1
        if need > log.last_bytes:
            log.left_out += 1
            return
        make_room(log, need)
        room += log.first_bytes + log.head
        log.head += need
    memcpy(room, entry, sizeof(LogEntry))
    memcpy(room + sizeof(LogEntry), data, entry.kept)


cdef inline void make_room(PacketLog* log, int64_t need) noexcept nogil:
    """Let the oldest entries of the ring go until there is room for `need` bytes at its head."""
    if log.head + need > log.last_bytes:
        while log.wrap:
            drop_oldest(log)
        log.wrap, log.head = log.head, 0
    while log.wrap and log.tail < log.head + need:
        drop_oldest(log)


cdef inline void drop_oldest(PacketLog* log) noexcept nogil:
    cdef const LogEntry* oldest = <const LogEntry*>(
        <const uint8_t*>log + sizeof(PacketLog) + log.first_bytes + log.tail)
    log.tail += (<int64_t>sizeof(LogEntry) + oldest.kept + 7) & ~<int64_t>7
    log.left_out += 1
    if log.tail == log.wrap:
        log.tail = log.wrap = 0

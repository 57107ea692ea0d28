# cython: language_level=3
"""Digits as RTP events, sent and received, without the GIL. Twin: cmw/rtp/telephone_event.py, where the docstrings are.

    send:     events_queue; at each packet time events_next -> rtp_stamp_event -> sendto, or audio when it returns 0
    receive:  events_receive with each payload of the event type; events_expire now and then

Source: RFC 4733 2.3, 2.5.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset


cdef enum:
    EVENT_BYTES = 4                 # of a payload
    EVENT_CODES = 16                # 0 .. 9, *, #, A .. D
    EVENT_QUEUE = 32
    EVENTS_REMEMBERED = 8
    EVENT_SEGMENT = 0xFFFF          # RTP units that a payload can say
    EVENT_FINALS = 3                # RFC 4733 2.5.1.4
    EVENT_SILENT_NS = 200_000_000   # an event of which nothing came for this long has ended

cdef enum:
    EVENT_IDLE = 0                  # phases of a sender
    EVENT_SOUNDING = 1
    EVENT_REPEATING = 2


# A digit to be sent; times in RTP units.
cdef struct EventOrder:
    uint32_t duration
    uint32_t pause
    uint8_t code
    uint8_t payload_type
    uint8_t volume


cdef struct RtpEventSender:
    EventOrder orders[EVENT_QUEUE]  # a ring
    uint8_t first
    uint8_t count
    uint8_t phase
    uint8_t repeats                 # final packets still to be sent
    uint8_t is_end                  # they end the event, not only a segment of it
    uint8_t resting                 # `resume` holds
    uint16_t reported               # duration said last
    uint32_t start                  # timestamp of the segment
    uint32_t before                 # units of the segments before it
    uint32_t resume                 # when the next event may begin


# What events_next wrote.
cdef struct EventPacket:
    uint32_t timestamp
    uint32_t duration               # of the whole event
    uint8_t payload[EVENT_BYTES]
    uint8_t payload_type
    uint8_t code
    uint8_t marker
    uint8_t is_over                 # the first to say that the event has ended


cdef struct RtpEventReceiver:
    int64_t arrival_ns              # of its newest packet
    uint32_t timestamp              # of the segment
    uint32_t before                 # units of the segments before it
    uint16_t duration
    uint8_t is_open
    uint8_t code
    uint8_t ended_count
    uint8_t ended_next
    uint32_t ended[EVENTS_REMEMBERED]   # timestamps, a ring


cdef struct EndedEvent:
    uint32_t duration
    uint8_t code


cdef inline void events_clear(RtpEventSender* sender, RtpEventReceiver* receiver) noexcept nogil:
    memset(sender, 0, sizeof(RtpEventSender))
    memset(receiver, 0, sizeof(RtpEventReceiver))


# Returns 0 when there is no room.
cdef inline bint events_queue(RtpEventSender* sender, const EventOrder* order) noexcept nogil:
    if sender.count == EVENT_QUEUE:
        return 0
    sender.orders[(sender.first + sender.count) % EVENT_QUEUE] = order[0]
    sender.count += 1
    return 1


cdef inline void events_drop(RtpEventSender* sender) noexcept nogil:
    sender.count = 0
    sender.phase = EVENT_IDLE
    sender.resting = 0


# Writes what leaves instead of the audio of `timestamp`; returns 0 for audio.
cdef inline bint events_next(
    RtpEventSender* sender, uint32_t timestamp, uint32_t step, EventPacket* out
) noexcept nogil:
    cdef const EventOrder* order = &sender.orders[sender.first]
    cdef uint32_t elapsed, left, limit
    if sender.count == 0:
        return 0
    out.marker = 0
    out.is_over = 0
    if sender.phase == EVENT_IDLE:
        if sender.resting and <int32_t>(timestamp - sender.resume) < 0:
            return 0
        sender.phase, sender.start, sender.before = EVENT_SOUNDING, timestamp, 0
        out.marker = 1
    if sender.phase == EVENT_SOUNDING:
        elapsed = timestamp + step - sender.start
        left = order.duration - sender.before
        limit = min(left, <uint32_t>EVENT_SEGMENT)
        sender.reported = <uint16_t>min(elapsed, limit)
        if elapsed >= limit:
            sender.phase = EVENT_REPEATING
            sender.repeats = EVENT_FINALS - 1
            sender.is_end = left <= EVENT_SEGMENT
            out.is_over = sender.is_end
    else:
        sender.repeats -= 1
    out.timestamp = sender.start
    out.code = order.code
    out.duration = order.duration
    out.payload_type = order.payload_type
    out.payload[0] = order.code
    out.payload[1] = order.volume
    if sender.phase == EVENT_REPEATING and sender.is_end:
        out.payload[1] |= 0x80
    out.payload[2] = <uint8_t>(sender.reported >> 8)
    out.payload[3] = <uint8_t>(sender.reported & 0xFF)
    if sender.phase == EVENT_REPEATING and sender.repeats == 0:
        sender.start += sender.reported
        if sender.is_end:
            sender.resume = sender.start + order.pause
            sender.resting = 1
            sender.first = (sender.first + 1) % EVENT_QUEUE
            sender.count -= 1
            sender.phase = EVENT_IDLE
        else:                       # RFC 4733 2.5.1.3: the next segment begins where this one ended
            sender.before += sender.reported
            sender.phase = EVENT_SOUNDING
    return 1


cdef inline void remember_event(RtpEventReceiver* receiver, uint32_t timestamp) noexcept nogil:
    receiver.ended[receiver.ended_next] = timestamp
    receiver.ended_next = (receiver.ended_next + 1) % EVENTS_REMEMBERED
    receiver.ended_count = min(receiver.ended_count + 1, <int>EVENTS_REMEMBERED)


cdef inline int close_event(RtpEventReceiver* receiver, EndedEvent* out) noexcept nogil:
    if not receiver.is_open:
        return 0
    receiver.is_open = 0
    remember_event(receiver, receiver.timestamp)
    out.code = receiver.code
    out.duration = receiver.before + receiver.duration
    return 1


cdef inline bint event_goes_on(RtpEventReceiver* receiver, uint32_t timestamp) noexcept nogil:
    if timestamp == receiver.timestamp:
        return 1
    if timestamp != receiver.timestamp + <uint32_t>EVENT_SEGMENT:
        return 0
    remember_event(receiver, receiver.timestamp)
    receiver.before += EVENT_SEGMENT
    receiver.timestamp = timestamp
    receiver.duration = 0
    return 1


# Writes what ended with this packet, room for two; returns how many.
cdef inline int events_receive(
    RtpEventReceiver* receiver, const uint8_t* payload, uint32_t size, uint32_t timestamp, int64_t arrival_ns,
    EndedEvent* out
) noexcept nogil:
    cdef uint16_t duration
    cdef uint8_t code
    cdef int i
    cdef int found = 0
    if size < EVENT_BYTES or payload[0] >= EVENT_CODES:
        return 0
    for i in range(receiver.ended_count):
        if receiver.ended[i] == timestamp:
            return 0
    code = payload[0]
    duration = <uint16_t>(payload[2] << 8 | payload[3])
    if not (receiver.is_open and code == receiver.code and event_goes_on(receiver, timestamp)):
        if receiver.is_open and <int32_t>(timestamp - receiver.timestamp) < 0:  # all of it was overtaken
            remember_event(receiver, timestamp)
            out[0].code, out[0].duration = code, duration
            return 1
        found = close_event(receiver, out)
        receiver.is_open, receiver.code, receiver.timestamp = 1, code, timestamp
        receiver.before = 0
        receiver.duration = 0
    receiver.duration = max(receiver.duration, duration)
    receiver.arrival_ns = arrival_ns
    if payload[1] & 0x80:
        found += close_event(receiver, out + found)
    return found


# Writes the event that ended because nothing more of it came; returns 1 when there was one.
cdef inline int events_expire(RtpEventReceiver* receiver, int64_t now_ns, EndedEvent* out) noexcept nogil:
    return close_event(receiver, out) if now_ns - receiver.arrival_ns >= EVENT_SILENT_NS else 0

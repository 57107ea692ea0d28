# cython: language_level=3
"""What the compiled modules share: the state of one stream as plain C structures, and what may be done to it.

A stream is three structures that its owner keeps in arrays: what we send (`RtpSender`), what we receive (`RtpReceiver`)
and the control protocol about both (`RtcpSession`). Every function that is `noexcept nogil` touches nothing but its
arguments.

    open:     rtp_sender_open, rtp_receiver_open, rtcp_open             (they clear the structure: no memset needed)
    send:     rtp_pull_due -> rtp_stamp -> sendto; rtp_send_failed when the kernel refused the packet
    echo:     rtp_receive -> rtp_stamp_as -> sendto
    receive:  rtp_receive (RTP port), rtcp_receive (RTCP port)
    control:  rtcp_due -> rtcp_build -> sendto; rtcp_build with `bye` set at the end
    look:     copy the three structures under the lock, then stream_snapshot(&s, &r, &c) with the GIL
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    RTP_HEADER_BYTES = 12           # without CSRC and extension
    RTCP_MAX_BYTES = 512            # room that rtcp_build needs in the worst case (CNAME of 255 bytes, XR): 456
    NO_PAYLOAD_TYPE = 255           # for event_payload_type: no telephone-event was negotiated
    SPACING_BUCKETS = 8             # of 250 ms: the 2 s window of packet spacing
    HISTOGRAM_BUCKETS = 2688        # indices -640 .. 2047 at scale 6: 1/1024 .. 2^32
    LATE_LIMIT_NS = 100000000       # default of what a packet may be late without being called so
    CLOCK_SAMPLES = 20              # sender reports of the regression
    VOIP_BYTES = 32                 # contents of the blocks of RFC 3611 4.7 and 4.6
    SUMMARY_BYTES = 36


# Same values as cmw.rtp.verdict.PacketVerdict. Up to WRONG_PAYLOAD_TYPE the packet belongs to the stream and was
# counted in packets_received (but for WRONG_PAYLOAD_TYPE before the stream began); `verdict <= RTP_NEW_SSRC` is a
# packet that can be played.
cdef enum RtpVerdict:
    RTP_OK = 0                      # next in sequence, or after a gap
    RTP_FIRST = 1                   # the first packet of the stream
    RTP_OUT_OF_ORDER = 2            # late by less than MAX_MISORDER, seen for the first time
    RTP_DUPLICATE = 3               # seen before
    RTP_RESYNC = 4                  # second packet in a row far from the old sequence: statistics go on from there
    RTP_NEW_SSRC = 5                # second packet in a row of another source: statistics go on with it
    RTP_WRONG_PAYLOAD_TYPE = 6      # neither the negotiated type nor its events
    RTP_PROBATION = 7               # another source or a far sequence, held until its successor comes
    RTP_TOO_SHORT = 8               # under 12 bytes
    RTP_BAD_VERSION = 9             # version is not 2
    RTP_BAD_LENGTH = 10             # CSRC list or extension run past the end
    RTP_BAD_PADDING = 11            # padding count is 0 or more than there is
    RTP_IS_RTCP = 12                # second byte 192..223: control on the media port (RFC 5761 4); nothing is counted
    RTP_STRANGER = 13               # never returned by rtp_receive: for the owner, who knows addresses


# Same values as cmw.rtp.verdict.ControlVerdict.
cdef enum RtcpVerdict:
    RTCP_OK = 0
    RTCP_BYE_RECEIVED = 1           # valid, and the source of the stream said BYE
    RTCP_TOO_SHORT = 2              # under 8 bytes
    RTCP_BAD_VERSION = 3            # version is not 2, in any of the packets
    RTCP_BAD_FIRST_TYPE = 4         # the first packet is neither SR nor RR
    RTCP_BAD_PADDING = 5            # padding on a packet that is not the last, or its count is wrong
    RTCP_BAD_LENGTH = 6             # the lengths do not add up, or a packet is shorter than its contents


# One packet's header as read by rtp_receive; only written when the verdict is up to RTP_PROBATION.
cdef struct RtpHeader:
    uint32_t ssrc
    uint32_t timestamp
    uint16_t seq
    uint8_t payload_type
    uint8_t marker
    uint32_t payload_offset         # bytes from the start of the packet
    uint32_t payload_bytes          # without padding


# What we send. Packet k of the schedule is due at start_ns + k * period_ns and always carries the timestamp
# first_timestamp + k * timestamp_step (modulo 2^32), whatever happened to the packets before it.
cdef struct RtpSender:
    int64_t start_ns                # when packet 0 is due, monotonic
    int64_t period_ns               # above 0
    int64_t late_bound_ns           # late by this or more is skipped; 1 .. period_ns
    int64_t next_packet             # k of the next packet
    int64_t lateness_ns             # of the packet that rtp_pull_due announced; below 0 when early within the slack
    int64_t packets_sent
    int64_t bytes_sent              # payload
    int64_t packets_skipped
    int64_t reference_ns            # instant that belongs to reference_timestamp, for sender reports
    uint32_t reference_timestamp
    uint32_t first_timestamp
    uint32_t timestamp_step         # RTP units per packet
    uint32_t ssrc
    uint32_t last_payload_bytes     # of the last stamp, for rtp_send_failed
    uint16_t sequence               # of the next packet; counts packets sent only
    uint8_t payload_type
    uint8_t marker_due              # the next packet begins a talkspurt: the first, and the first after a skip
    uint8_t active                  # cleared by rtp_sender_stop: nothing is due any more
    uint32_t clock_hz
    int64_t first_sent_ns           # when the first packet left
    int64_t send_errors


cdef struct SpacingBucket:
    int64_t index                   # arrival_ns // 250 ms; -1 when empty
    int64_t count
    int64_t sum_ns
    int64_t min_ns
    int64_t max_ns


# A packet that did not fit, kept until its successor confirms or another one replaces it.
cdef struct HeldPacket:
    int64_t arrival_ns
    uint32_t ssrc
    uint32_t timestamp
    uint32_t payload_bytes
    uint16_t seq
    uint8_t payload_type
    uint8_t held                    # 0 when there is none


# How long the listener's jitter buffer waits: cmw.rtp.jitter_buffer.BufferSettings.
cdef struct BufferSettings:
    int64_t start_ns
    int64_t min_ns                  # equal to max_ns: a fixed buffer
    int64_t max_ns


# The model of that buffer; delays in 1/256 and 1/4096 RTP unit.
cdef struct JitterBuffer:
    int64_t delay_q8
    int64_t min_q8
    int64_t max_q8
    int64_t mean_q12                # of how much later than the fastest packets come
    int64_t deviation_q12           # from that mean
    int64_t pushed
    int64_t late
    BufferSettings settings


# Differences of neighbouring transit times since the last statistics summary: RFC 3611 4.6.
cdef struct TransitDifferences:
    int64_t count
    int64_t lowest_q8
    int64_t highest_q8
    double sum_q8
    double squares_q16


# Bursts of packets lost or discarded, and the gaps between them: RFC 3611 4.7.2 with Gmin 16.
cdef struct BurstGap:
    int64_t bursts
    int64_t burst_packets
    int64_t burst_lost
    int64_t gaps
    int64_t gap_packets
    int64_t gap_lost
    int64_t unheard_packets
    int64_t unheard_rows            # rows of packets unheard with none heard between
    int64_t gap_from                # extended sequence numbers: where the open gap begins ...
    int64_t first                   # ... and the first and the last of the losses that are not settled yet
    int64_t last
    int64_t lost                    # how many these are


# What we receive: RFC 3550 A.1, A.3, A.8 and what they leave out. What each packet of a stream in order touches lies
# together, up to `spacing[0]`: with thousands of streams each line of it comes from far away.
cdef struct RtpReceiver:
    uint32_t clock_hz               # above 0
    uint32_t ssrc
    uint8_t payload_type
    uint8_t event_payload_type      # NO_PAYLOAD_TYPE for none
    uint8_t started                 # a first packet came
    uint8_t transit_known           # transit_q8 holds a value (which may be 0)
    uint8_t lowest_known
    uint8_t lowest_before_known
    uint8_t anchor_known            # anchor_* hold the newest packet in order of the negotiated type
    uint8_t last_payload_type       # of the newest packet in order, no events or comfort noise; NO_PAYLOAD_TYPE: none
    uint8_t may_have_paused         # it came so late after the one before it that the sender may have stood still
    uint32_t last_timestamp         # of the packet with the highest sequence
    uint32_t timestamp_step         # RTP units between neighbours, 0 until known
    uint32_t anchor_timestamp
    int64_t max_ext_seq             # highest sequence seen, extended
    int64_t received                # since base_ext_seq, duplicates included
    int64_t received_before         # in the runs of sequences that a resync or a new source ended
    int64_t bytes_received          # payload of all counted packets
    uint64_t window[2]              # bit i of 128: packet max_ext_seq - i came
    uint64_t discarded[2]           # the same bits: it came, but too late to be played
    int64_t loss_run                # packets missing in a row at the far end of the window
    int64_t anchor_ext_seq
    int64_t anchor_arrival_ns
    int64_t last_arrival_ns         # of the newest counted packet
    int64_t spacing_min_ns          # over the whole stream; INT64_MAX before the second packet
    int64_t spacing_max_ns
    uint64_t transit_q8             # arrival minus timestamp in 1/256 RTP unit, modulo 2^40
    int64_t jitter_q12              # RFC 3550 A.8 in 1/4096 RTP unit
    int64_t jitter_min_q12
    int64_t jitter_max_q12
    double jitter_sum_q12
    int64_t jitter_count            # packets that moved the estimate
    TransitDifferences differences
    int64_t base_span               # arrival_ns // 10 s that lowest_q8 belongs to
    uint64_t lowest_q8              # smallest transit of this span ...
    uint64_t lowest_before_q8       # ... and of the one before
    int64_t late_limit_q8           # late_limit_ns in 1/256 RTP unit
    int64_t late_packets            # later than the fastest of the last 10 to 20 s by more than the limit
    JitterBuffer buffer
    HeldPacket held
    SpacingBucket spacing[SPACING_BUCKETS]  # newest first
    int64_t late_limit_ns
    int64_t base_ext_seq            # first sequence of this run of sequences, extended
    int64_t expected_before         # of the runs before it
    int64_t expected_prior          # at the last close of the report interval
    int64_t received_prior
    int64_t loss_bursts             # runs of missing packets that left the window
    int64_t longest_loss_burst
    BurstGap burst_gap
    int64_t timestamp_jumps
    int64_t payload_type_changes
    int64_t first_arrival_ns
    int64_t duplicate_packets
    int64_t out_of_order_packets
    int64_t sequence_number_resets  # resyncs to a lower sequence
    int64_t sequence_number_jumps   # resyncs to a higher one
    int64_t ssrc_switches
    int64_t discarded_packets       # of our source, too far from the sequence and never confirmed
    int64_t strangers               # other sources, never confirmed; the owner adds those from other addresses here
    int64_t wrong_payload_type
    int64_t malformed


# A sender report as the regression sees it.
cdef struct ClockSample:
    uint64_t ntp
    int64_t rtp                     # extended from the first report on
    int64_t arrival_ns


# What one receiver last told about our stream, raw, and when the blocks were valid.
cdef struct RemoteView:
    uint8_t voip[VOIP_BYTES]
    uint8_t summary[SUMMARY_BYTES]
    uint8_t voip_known
    uint8_t summary_flags
    uint8_t summary_known


# What a VoIP metrics block says beside the counts; 127: not known (RFC 3611 4.7). cmw.rtp.extended_report.VoipRating.
cdef struct VoipRating:
    int8_t signal_level_db          # dBm0
    int8_t noise_level_db
    uint8_t r_factor                # 0 .. 100
    uint8_t mos_lq_q10              # 10 .. 50
    uint8_t mos_cq_q10


# The control protocol about both directions.
cdef struct RtcpSession:
    int64_t unix_offset_ns          # wall clock minus monotonic clock, taken once
    int64_t next_due_ns             # when the next report is due, monotonic (RFC 3550 6.3: tn)
    int64_t sent_ns                 # when the last one left, or the session began (tp)
    int64_t average_q4              # size of control packets in 1/16 byte (avg_rtcp_size)
    int64_t members                 # as of the last computation of the interval (pmembers)
    int64_t last_control_ns         # arrival of the newest control packet; below 0 before the first
    int64_t control_interval_ns     # between the last two; below 0 when not known
    uint64_t random_state
    uint8_t any_sent                # of ours (initial is over)
    uint8_t peer_left               # it said BYE and nothing since
    uint8_t extended                # we add XR
    uint8_t reference_known         # the peer sent a reference time
    uint32_t reference_ssrc
    uint32_t reference_middle       # middle 32 bits of its NTP timestamp
    int64_t reference_ns            # when it came
    int64_t summary_next_seq        # extended; below 0 before the first summary
    int64_t summary_expected        # as of the last summary
    int64_t summary_received
    int64_t summary_duplicates
    VoipRating rating               # of the stream that we receive, for our next extended report
    RemoteView remote
    ClockSample samples[CLOCK_SAMPLES]
    int32_t sample_count
    uint8_t drift_known
    uint8_t skew_known
    double drift_ppm
    double skew_ppm
    int64_t sent_prior              # packets_sent at the last report ...
    int64_t sent_before             # ... and at the one before
    int64_t rtcp_sent
    int64_t rtcp_received           # valid compound packets
    int64_t rtcp_malformed
    int64_t byes_received           # from the source of the stream
    uint8_t sr_known                # a sender report of the stream's source came
    uint8_t report_known            # the peer reported about us
    uint8_t rtt_known
    uint8_t remote_fraction_lost    # of the peer's last report about us, in 1/256
    uint32_t sr_ssrc                # who sent it
    uint32_t sr_ntp_middle          # LSR: middle 32 bits of its NTP timestamp
    int64_t sr_arrival_ns
    uint32_t remote_packets_sent    # as the sender report says
    uint32_t remote_bytes_sent
    int32_t remote_packets_lost     # 24 bits, signed
    uint32_t remote_jitter          # RTP units of our clock
    uint32_t remote_ext_seq
    uint32_t rtt_q16                # 1/65536 s
    uint8_t cname_bytes
    uint8_t cname[255]


# Base-2 exponential histogram of scale 6: bucket i holds (2^(i/64), 2^((i+1)/64)].
cdef struct Histogram:
    int64_t count
    int64_t zero_count              # values of 0 and below
    double sum
    double min                      # valid when count is above 0
    double max
    int64_t buckets[HISTOGRAM_BUCKETS]     # [n] is bucket index n - 640; the ends take what lies beyond


# --- sending

cdef void rtp_sender_open(
    RtpSender* sender, int64_t start_ns, int64_t period_ns, int64_t late_bound_ns, uint32_t ssrc, uint16_t sequence,
    uint32_t timestamp, uint32_t timestamp_step, uint32_t clock_hz, uint8_t payload_type) noexcept nogil
# Returns 1 when a packet must be stamped and sent now, at most once per period. Skips and counts what is too late.
cdef bint rtp_pull_due(RtpSender* sender, int64_t now_ns, int64_t slack_ns) noexcept nogil
# When the next packet is due, monotonic; INT64_MAX when the sender is stopped.
cdef int64_t rtp_next_due(const RtpSender* sender) noexcept nogil
# Writes 12 bytes, counts the packet as sent and moves on to the next.
cdef void rtp_stamp(RtpSender* sender, uint8_t* packet, uint32_t payload_bytes) noexcept nogil
# The same out of schedule, for echo: the caller brings timestamp and marker.
cdef void rtp_stamp_as(
    RtpSender* sender, uint8_t* packet, uint32_t payload_bytes, uint32_t timestamp, bint marker,
    int64_t now_ns) noexcept nogil
# Writes the header of an event (_rtp_events.pxd), 4 bytes of payload, that leaves instead of the next packet of the
# schedule, which moves on as if that had left.
cdef void rtp_stamp_event(
    RtpSender* sender, uint8_t* packet, uint8_t payload_type, uint32_t timestamp, bint marker) noexcept nogil
# The timestamp that the next packet of the schedule has.
cdef uint32_t rtp_next_timestamp(const RtpSender* sender) noexcept nogil
# The timestamp of this instant on the clock of what was sent last.
cdef uint32_t rtp_timestamp_at(const RtpSender* sender, int64_t now_ns) noexcept nogil
# Takes the last stamp back: the packet never left, so its sequence number is used again.
cdef void rtp_send_failed(RtpSender* sender) noexcept nogil
cdef void rtp_sender_stop(RtpSender* sender) noexcept nogil
# Sends another format from the next packet on; its time, timestamp and sequence number stay its own.
cdef void rtp_sender_change(
    RtpSender* sender, int64_t period_ns, uint32_t timestamp_step, uint32_t clock_hz,
    uint8_t payload_type) noexcept nogil

# --- receiving

cdef void rtp_receiver_open(
    RtpReceiver* receiver, uint32_t clock_hz, uint8_t payload_type, uint8_t event_payload_type,
    int64_t late_limit_ns, const BufferSettings* buffer) noexcept nogil
# 40 ms to begin with, then 20 to 200 ms.
cdef BufferSettings usual_buffer() noexcept nogil
# Measures another payload type from now on; the counters go on.
cdef void rtp_change_payload(
    RtpReceiver* receiver, uint32_t clock_hz, uint8_t payload_type, uint8_t event_payload_type) noexcept nogil
# Reads the header and counts nothing: RTP_OK, or why it is none.
cdef RtpVerdict rtp_read_header(const uint8_t* data, size_t size, RtpHeader* header) noexcept nogil
cdef RtpVerdict rtp_receive(
    RtpReceiver* receiver, const uint8_t* data, size_t size, int64_t arrival_ns, RtpHeader* header) noexcept nogil

# --- control

cdef void rtcp_open(
    RtcpSession* session, const uint8_t* cname, uint8_t cname_bytes, int64_t unix_offset_ns, uint64_t seed,
    int64_t now_ns, bint extended) noexcept nogil
# May put it off: timer reconsideration, RFC 3550 6.3.6.
cdef bint rtcp_due(
    const RtpSender* sender, const RtpReceiver* receiver, RtcpSession* session, int64_t now_ns) noexcept nogil
# Writes SR or RR, SDES, XR if wanted and, with `bye`, BYE; closes the report interval, schedules the next report;
# returns the bytes written.
cdef size_t rtcp_build(
    RtpSender* sender, RtpReceiver* receiver, RtcpSession* session, int64_t now_ns, bint bye,
    uint8_t* out) noexcept nogil
cdef RtcpVerdict rtcp_receive(
    const RtpSender* sender, const RtpReceiver* receiver, RtcpSession* session, const uint8_t* data, size_t size,
    int64_t arrival_ns) noexcept nogil

# --- looking

cdef void histogram_clear(Histogram* histogram) noexcept nogil
cdef void histogram_record(Histogram* histogram, double value) noexcept nogil
# The two below make Python objects and need the GIL. The first returns a cmw.rtp.snapshot.StreamSnapshot.
cdef object stream_snapshot(const RtpSender* sender, const RtpReceiver* receiver, const RtcpSession* session)
# {"scale", "zero_count", "offset", "counts", "count", "sum", "min", "max"}
cdef dict histogram_dict(const Histogram* histogram)

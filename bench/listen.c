/* A receiver that is not ours: jitter of RTP streams by kernel time stamps. Used by bench/media_jitter.py.
 *
 *     listen IP FIRST_PORT STEP COUNT SECONDS
 *
 * Binds COUNT ports, STEP apart, and says "ready". Measures from one second after the first packet on, for SECONDS.
 * Prints streams heard, packets, and the mean and the largest interarrival jitter in ms: J of RFC 3550 A.8 after each
 * packet, in floating point, of every port by itself, from the time stamp of the packet against that of its arrival.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

struct stream {
    int fd, heard;
    double transit_ms, jitter_ms;
};

static double unwrap_ms(struct stream *s, uint32_t timestamp, double arrival_ms) {
    double transit_ms = arrival_ms - timestamp / 8.0, wrap_ms = 4294967296.0 / 8;
    while (s->heard && transit_ms - s->transit_ms > wrap_ms / 2) transit_ms -= wrap_ms;
    while (s->heard && s->transit_ms - transit_ms > wrap_ms / 2) transit_ms += wrap_ms;
    return transit_ms;
}

int main(int argc, char **argv) {
    if (argc != 6) return fputs("listen IP FIRST_PORT STEP COUNT SECONDS\n", stderr), 2;
    int first = atoi(argv[2]), step = atoi(argv[3]), count = atoi(argv[4]), on = 1, epoll = epoll_create1(0);
    double seconds = atof(argv[5]), began_ms = 0, sum_ms = 0, largest_ms = 0;
    long long packets = 0, streams = 0;
    struct stream *all = calloc(count, sizeof *all);
    struct epoll_event ready[512];
    struct rlimit most = {20000, 20000};

    setrlimit(RLIMIT_NOFILE, &most);
    for (int i = 0; i < count; i++) {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(first + i * step)};
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        all[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        inet_pton(AF_INET, argv[1], &name.sin_addr);
        if (bind(all[i].fd, (struct sockaddr *)&name, sizeof name)) return perror("bind"), 1;
        setsockopt(all[i].fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    puts("ready");
    fflush(stdout);
    for (double now_ms = 0; !began_ms || now_ms < began_ms + 1000 * (1 + seconds);) {
        int n = epoll_wait(epoll, ready, 512, 20000);
        if (n <= 0) return fputs("nothing came for 20 s\n", stderr), 1;
        for (int i = 0; i < n; i++) {
            struct stream *s = &all[ready[i].data.u32];
            uint8_t data[2048], control[256];
            struct iovec buffer = {data, sizeof data};
            struct msghdr message = {.msg_iov = &buffer, .msg_iovlen = 1, .msg_control = control};
            for (;;) {
                message.msg_controllen = sizeof control;
                if (recvmsg(s->fd, &message, 0) < 12) break;
                struct cmsghdr *stamp = CMSG_FIRSTHDR(&message);
                if (!stamp || stamp->cmsg_type != SCM_TIMESTAMPNS) continue;
                struct timespec at;
                memcpy(&at, CMSG_DATA(stamp), sizeof at);
                now_ms = at.tv_sec * 1e3 + at.tv_nsec / 1e6;
                if (!began_ms) began_ms = now_ms;
                if (now_ms < began_ms + 1000) continue;
                uint32_t timestamp;
                memcpy(&timestamp, data + 4, 4);
                double transit_ms = unwrap_ms(s, ntohl(timestamp), now_ms);
                if (s->heard++) {
                    s->jitter_ms += (fabs(transit_ms - s->transit_ms) - s->jitter_ms) / 16;
                    sum_ms += s->jitter_ms;
                    packets++;
                    if (s->jitter_ms > largest_ms) largest_ms = s->jitter_ms;
                }
                s->transit_ms = transit_ms;
            }
        }
    }
    for (int i = 0; i < count; i++) streams += all[i].heard > 1;
    printf("%lld %lld %.6f %.6f\n", streams, packets, packets ? sum_ms / packets : 0, largest_ms);
    return 0;
}

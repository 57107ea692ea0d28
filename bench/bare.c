/* The least that sending and receiving these packets can cost with plain sockets: the yardstick of bench/media.py.
 *
 *     bare SOCKETS SECONDS     (each sends 172 bytes to the next one 50 times a second, the last to the first)
 *
 * A 1 ms grid, sendto, epoll and recvfrom; no statistics, no kernel timestamps, no RTCP, nothing else. Prints the packets
 * sent, the packets received and the CPU seconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sched.h>
#include <time.h>

static long long clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
    int count = argc > 2 ? atoi(argv[1]) : 2;
    double seconds = argc > 2 ? atof(argv[2]) : 1;
    int *fds = calloc(count, sizeof *fds);
    struct sockaddr_in *names = calloc(count, sizeof *names);
    struct epoll_event ready[512], event = {.events = EPOLLIN};
    struct sched_param parameters = {.sched_priority = 10};
    int epoll = epoll_create1(0);
    char packet[172] = {(char)0x80}, heard[2048];
    long long sent = 0, received = 0, tick_ns = 1000000;

    for (int i = 0; i < count; i++) {
        socklen_t size = sizeof names[i];
        fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        names[i].sin_family = AF_INET;
        names[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fds[i] < 0 || bind(fds[i], (struct sockaddr *)&names[i], size)) return perror("bind"), 1;
        getsockname(fds[i], (struct sockaddr *)&names[i], &size);
        event.data.fd = fds[i];
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
    }
    sched_setscheduler(0, SCHED_FIFO, &parameters);
    prctl(PR_SET_TIMERSLACK, 1);
    long long next_ns = clock_ns(CLOCK_MONOTONIC) / tick_ns * tick_ns + tick_ns;
    long long end_ns = next_ns + (long long)(seconds * 1e9), cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (; next_ns < end_ns; next_ns += tick_ns) {
        struct timespec at = {next_ns / 1000000000, next_ns % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        for (int i = next_ns / tick_ns % 20; i < count; i += 20) {
            struct sockaddr *to = (struct sockaddr *)&names[i + 1 < count ? i + 1 : 0];
            sent += sendto(fds[i], packet, sizeof packet, 0, to, sizeof names[0]) > 0;
        }
        for (int n = 512; n == 512;) {
            n = epoll_wait(epoll, ready, 512, 0);
            for (int i = 0; i < n; i++) {
                struct sockaddr_in from;
                socklen_t size = sizeof from;
                received += recvfrom(ready[i].data.fd, heard, sizeof heard, 0, (struct sockaddr *)&from, &size) > 0;
            }
        }
    }
    printf("%lld %lld %.6f\n", sent, received, (clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns) / 1e9);
    return 0;
}

# cython: language_level=3
"""What the media engine takes from Linux and glibc, as the C headers declare it; see the man page of each."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from posix.time cimport clockid_t, timespec


cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_mutexattr_t:
        pass
    ctypedef unsigned long pthread_t
    enum: PTHREAD_PRIO_INHERIT
    int pthread_mutexattr_init(pthread_mutexattr_t*)
    int pthread_mutexattr_setprotocol(pthread_mutexattr_t*, int)
    int pthread_mutexattr_destroy(pthread_mutexattr_t*)
    int pthread_mutex_init(pthread_mutex_t*, const pthread_mutexattr_t*)
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)
    int pthread_mutex_destroy(pthread_mutex_t*)
    pthread_t pthread_self()
    int pthread_getcpuclockid(pthread_t, clockid_t*)
    struct sched_param:
        int sched_priority
    int pthread_setschedparam(pthread_t, int, const sched_param*)


cdef extern from "<sched.h>" nogil:
    enum: SCHED_FIFO


cdef extern from "<sys/prctl.h>" nogil:
    enum: PR_SET_TIMERSLACK
    int prctl(int, unsigned long)


cdef extern from "<unistd.h>" nogil:
    int close(int)


cdef extern from "<sys/syscall.h>" nogil:
    enum: SYS_recvmsg, SYS_sendto
    long syscall(long, ...)         # with errno, but no cancellation point of threads as the functions themselves are


cdef extern from "<sys/epoll.h>" nogil:
    enum: EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, EPOLLERR
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event*)
    int epoll_wait(int, epoll_event*, int, int)


cdef extern from "<sys/socket.h>" nogil:
    enum: AF_INET, AF_INET6, SOL_SOCKET, SO_TIMESTAMPNS, SCM_TIMESTAMPNS, SO_RXQ_OVFL
    enum: MSG_DONTWAIT, MSG_ERRQUEUE, MSG_NOSIGNAL
    ctypedef unsigned int socklen_t
    struct sockaddr:
        pass
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    cmsghdr* CMSG_FIRSTHDR(msghdr*)
    cmsghdr* CMSG_NXTHDR(msghdr*, cmsghdr*)
    uint8_t* CMSG_DATA(cmsghdr*)


cdef extern from "<sys/eventfd.h>" nogil:
    enum: EFD_CLOEXEC, EFD_NONBLOCK
    int eventfd(unsigned int, int)
    int eventfd_read(int, uint64_t*)
    int eventfd_write(int, uint64_t)


cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t)
    uint16_t ntohs(uint16_t)


cdef extern from "<netinet/in.h>" nogil:
    enum: IPPROTO_IP, IPPROTO_IPV6, IP_RECVERR, IPV6_RECVERR
    struct in_addr:
        uint32_t s_addr
    struct in6_addr:
        pass
    struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port           # network byte order
        in_addr sin_addr
    struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port          # network byte order
        in6_addr sin6_addr
        uint32_t sin6_scope_id

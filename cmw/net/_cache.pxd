# cython: language_level=3
"""The cache of the processor: memory that is asked for before it is used."""


cdef extern from *:
    """
    #include <stdint.h>
    static inline void fetch_lines(const void *begin, const void *end)
    {
        for (uintptr_t line = (uintptr_t)begin & ~(uintptr_t)63; line < (uintptr_t)end; line += 64)
            __builtin_prefetch((const void *)line, 1);
    }
    """
    # Asks for the lines of 64 bytes from `begin` up to `end`, which may be written to; does not wait for them.
    void fetch_lines(const void* begin, const void* end) nogil

"""What this processor, this build and this OpenMP runtime can do. Compiled for the baseline, so it runs anywhere."""

import threading

cdef extern from *:
    """
    #ifndef CONVCORE_LEVELS
    #define CONVCORE_LEVELS "generic"
    #endif

    #if defined(__x86_64__) && defined(__GNUC__)
    #include <xmmintrin.h>
    /* Single features, not the names of levels: GCC knows those only since version 12.
       The built-in also asks whether the operating system saves the wide registers. */
    static int has_v2(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt");
    }
    static int has_v3(void) {
        return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
            && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    }
    static int has_v4(void) {
        return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vl");
    }
    /* Denormal numbers as zeros: results (flush to zero, bit 15) and operands (denormals are zero, bit 6). */
    #define DENORMALS_ARE_ZEROS 0x8040
    static unsigned long long get_modes(void) { return _mm_getcsr(); }
    static void set_modes(unsigned long long modes) { _mm_setcsr((unsigned int) modes); }
    #else
    static int has_v2(void) { return 0; }
    static int has_v3(void) { return 0; }
    static int has_v4(void) { return 0; }
    #if defined(__aarch64__) && defined(__GNUC__)
    #define DENORMALS_ARE_ZEROS 0x1000000                       /* bit 24 of the register FPCR: both */
    static unsigned long long get_modes(void) {
        unsigned long long modes;
        __asm__ volatile("mrs %0, fpcr" : "=r"(modes));
        return modes;
    }
    static void set_modes(unsigned long long modes) { __asm__ volatile("msr fpcr, %0" : : "r"(modes)); }
    #else
    #define DENORMALS_ARE_ZEROS 0
    static unsigned long long get_modes(void) { return 0; }
    static void set_modes(unsigned long long modes) { (void) modes; }
    #endif
    #endif

    #ifdef _OPENMP
    #include <omp.h>
    #define OPENMP_DATE _OPENMP
    #else
    #define OPENMP_DATE 0
    static int omp_get_max_threads(void) { return 1; }
    #endif

    static int flushes(void) { return (get_modes() & DENORMALS_ARE_ZEROS) != 0; }

    static void flush_in_all(int n_threads) {
        (void) n_threads;
        #pragma omp parallel num_threads(n_threads)
        set_modes(get_modes() | DENORMALS_ARE_ZEROS);
    }

    static int flushing(int n_threads) {
        int found = 0;
        (void) n_threads;
        #pragma omp parallel num_threads(n_threads) reduction(+:found)
        found += flushes();
        return found;
    }

    /* Linux wakes a thread where it last ran. When the main thread has come to run there, too, the two take turns on
       one processor while another idles, for seconds: they sleep too often for the load to be balanced. So threads
       that are found on the processor of another are sent to one that none of them runs on; where they may run after
       that stays as it was. */
    #if defined(__linux__) && defined(_OPENMP)
    #include <sched.h>
    static int move_apart(int n_threads) {
        enum { STAY = -1 };
        int here[CPU_SETSIZE], target[CPU_SETSIZE], moved = 0, c = 0;
        cpu_set_t allowed, taken;
        if (n_threads > CPU_SETSIZE || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
        for (int t = 0; t < n_threads; t++) here[t] = target[t] = STAY;
        #pragma omp parallel num_threads(n_threads)
        here[omp_get_thread_num()] = sched_getcpu();
        CPU_ZERO(&taken);
        for (int t = 0; t < n_threads; t++)
            if (here[t] >= 0 && here[t] < CPU_SETSIZE) CPU_SET(here[t], &taken);
        for (int t = 1; t < n_threads; t++)                     /* the first to be found on a processor stays there */
            for (int other = 0; other < t && target[t] == STAY; other++)
                if (here[t] >= 0 && here[t] == here[other]) {
                    while (c < CPU_SETSIZE && (!CPU_ISSET(c, &allowed) || CPU_ISSET(c, &taken))) c++;
                    if (c == CPU_SETSIZE) break;
                    target[t] = c++;
                    moved++;
                }
        if (moved == 0) return 0;
        #pragma omp parallel num_threads(n_threads)
        {
            int to = target[omp_get_thread_num()];
            cpu_set_t mine, one;
            if (to != STAY && sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_ISSET(to, &mine)) {
                CPU_ZERO(&one);
                CPU_SET(to, &one);
                if (sched_setaffinity(0, sizeof one, &one) == 0) sched_setaffinity(0, sizeof mine, &mine);
            }
        }
        return moved;
    }
    #else
    static int move_apart(int n_threads) { return 0; }
    #endif
    """
    const char* CONVCORE_LEVELS
    int OPENMP_DATE
    bint has_v2()
    bint has_v3()
    bint has_v4()
    unsigned long long DENORMALS_ARE_ZEROS
    unsigned long long get_modes()
    void set_modes(unsigned long long)
    bint flushes()
    void flush_in_all(int) nogil
    int flushing(int) nogil
    int omp_get_max_threads()
    int move_apart(int) nogil


def levels_built():
    """The instruction-set levels that the kernels were compiled for, narrowest first."""
    return tuple((<bytes> CONVCORE_LEVELS).decode().split())


def levels_supported():
    """The levels that this processor and operating system can run, narrowest first."""
    has = {"x86-64-v2": has_v2(), "x86-64-v3": has_v3(), "x86-64-v4": has_v4()}
    return ("generic", *(level for level in has if has[level]))


def openmp_date():
    """The date (yyyymm) of the OpenMP standard that the kernels were compiled with; 0 without OpenMP."""
    return OPENMP_DATE


def openmp_threads():
    """How many threads the OpenMP runtime would use by itself. (Asking also ties this module to the runtime.)"""
    return omp_get_max_threads()


def spread_threads(int n_threads):
    """Let no two threads share a processor while another is free; return how many were moved. About a microsecond."""
    cdef int moved
    with nogil:
        moved = move_apart(n_threads)
    return moved


cdef class DenormalsAsZeros:
    """Denormal numbers count as zeros inside the ``with`` block, in the calling thread and those that help it.

    They are less than 1e-38, mean nothing in training, and take some processors a hundred times as long. The calling
    thread's mode is restored behind the block. Its helpers keep theirs, which costs nothing: they are the runtime's,
    and compute for this thread alone; those that it starts later begin in the mode of the thread that calls.
    """

    cdef unsigned long long before
    cdef readonly int n_threads

    def __init__(self, int n_threads):
        self.n_threads = n_threads

    def __enter__(self):
        self.before = get_modes()
        set_modes(self.before | DENORMALS_ARE_ZEROS)
        if self.n_threads > 1 and self.n_threads > getattr(_helpers, "flushing", 1):
            flush_in_all(self.n_threads)
            _helpers.flushing = self.n_threads

    def __exit__(self, *_):
        set_modes(self.before)


_helpers = threading.local()            # how many threads have been told, of those that work for each


def flushes_denormals():
    """Whether the calling thread takes denormal numbers for zeros (flush-to-zero or denormals-are-zero is set)."""
    return flushes()


def threads_flushing(int n_threads):
    """How many of so many threads, the calling one among them, take denormal numbers for zeros."""
    return flushing(n_threads)

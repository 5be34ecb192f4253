# Which of two cells is the maximum of a window.

cdef extern from *:
    """
    #include <math.h>
    /* One more cell against the best so far. A sequence of conditional moves in C's own spelling: in this form GCC
       turns the loops below into vector code, with branches or bit masks it does not. The cell wins if it is larger,
       or NaN, or the first; a best that is NaN stays. */
    #define contest(best, best_place, value, place) do { \\
        int winner = (value) > (best) ? (place) : (best_place); \\
        winner = (value) != (value) ? (place) : winner; \\
        winner = (best_place) < 0 ? (place) : winner; \\
        best_place = (best) != (best) ? (best_place) : winner; \\
        best = (value) > (best) ? (value) : (best); \\
        best = (value) != (value) ? (value) : (best); \\
    } while (0)
    """
    float INFINITY
    void contest(double best, int best_place, double value, int place) nogil    # a macro: changes best and best_place

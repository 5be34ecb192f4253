"""The exponential function in plain arithmetic, so that the compiler makes whole vectors of a loop that calls it.

e^v = 2^n · e^r with n the whole number nearest to v / ln 2, and a polynomial for e^r − 1 on |r| ≤ ln 2 / 2. Adding a
large number rounds to n and leaves it in the lowest bits, from where it becomes the exponent of 2^n. ln 2 is taken off
in two parts, the first of few bits, so that n times it is exact (W. J. Cody and W. Waite, "Software Manual for the
Elementary Functions", 1980). Both results are within about 2 units in the last place; NaN stays NaN; arguments beyond
±LARGEST count as that.
"""

from convcore.kernels.common cimport floating


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* e^(v + beyond) = scale · (1 + rest); beyond is what rounding has left off v. */
    #define CONVCORE_EXPONENTIAL(name, number, bits, largest, rounder, high, low, bias, place, polynomial)       \\
        static inline void name(number v, number beyond, number *scale, number *rest) {                          \\
            number t, n, r;                                                                                      \\
            bits exponent;                                                                                       \\
            v = v > (number) largest ? (number) largest : v;                                                     \\
            v = v < -(number) largest ? -(number) largest : v;                                                   \\
            t = v * (number) 1.44269504088896340736 + (number) rounder;                                          \\
            n = t - (number) rounder;                                                                            \\
            r = ((v - n * (number) high) - n * (number) low) + beyond;                                           \\
            memcpy(&exponent, &t, sizeof t);                                                                     \\
            exponent = (exponent + bias) << place;                                                               \\
            memcpy(scale, &exponent, sizeof exponent);                                                           \\
            *rest = r + r * r * (polynomial);                                                                    \\
        }
    /* 1 / k! from the seventh, or the thirteenth, down to the second: the next term is less than half a unit. */
    CONVCORE_EXPONENTIAL(convcore_exp_float, float, uint32_t, 87, 12582912.0, 0.693359375, -2.12194440e-4, 127, 23,
        (((((1 / 5040.f) * r + 1 / 720.f) * r + 1 / 120.f) * r + 1 / 24.f) * r + 1 / 6.f) * r + 0.5f)
    CONVCORE_EXPONENTIAL(convcore_exp_double, double, uint64_t, 708, 6755399441055744.0, 6.93147180369123816490e-01,
        1.90821492927058770002e-10, 1023, 52,
        ((((((((((((1 / 6227020800.) * r + 1 / 479001600.) * r + 1 / 39916800.) * r + 1 / 3628800.) * r + 1 / 362880.)
        * r + 1 / 40320.) * r + 1 / 5040.) * r + 1 / 720.) * r + 1 / 120.) * r + 1 / 24.) * r + 1 / 6.) * r + 0.5))
    """
    void convcore_exp_float(float v, float beyond, float* scale, float* rest) noexcept nogil
    void convcore_exp_double(double v, double beyond, double* scale, double* rest) noexcept nogil


cdef inline floating largest_exponent(floating v) noexcept nogil:
    """LARGEST, for the type of v: its exponential, and one over it, are neither infinite nor denormal."""
    return 87 if floating is float else 708


cdef inline floating exponential(floating v) noexcept nogil:
    """e^v."""
    cdef floating nothing = 0
    return exponential_of_two(v, nothing)


cdef inline floating exponential_of_two(floating v, floating beyond) noexcept nogil:
    """e^(v + beyond): beyond is small beside v, as what rounding has left off it."""
    cdef floating scale, rest
    if floating is float:
        convcore_exp_float(v, beyond, &scale, &rest)
    else:
        convcore_exp_double(v, beyond, &scale, &rest)
    return scale + scale * rest


cdef inline floating exponential_minus_1(floating v) noexcept nogil:
    """e^v − 1, which keeps its digits near 0."""
    cdef floating one = 1, scale, rest          # a plain 1 is a double, and all that meets it
    if floating is float:
        convcore_exp_float(v, 0, &scale, &rest)
    else:
        convcore_exp_double(v, 0, &scale, &rest)
    return scale * rest + (scale - one)

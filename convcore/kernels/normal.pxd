"""The normal distribution in plain arithmetic, so that the compiler makes whole vectors of a loop that calls it.

What lies below −a, a ≥ 0, is e^(−a²/2) · (1/2 + w · q(z)) / (1 + a) with w = a / (a + 4), z = (a − 4) / (a + 4) and a
polynomial q. What stands in the brackets goes from 1/2 to 1/√(2π) without a turn, and z stretches the part near 0, where
most happens (after M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x in
0 ≤ x < ∞", Mathematics of Computation 36, 1981). The coefficients of q are those of the polynomial through Chebyshev's
points of 0 ≤ a ≤ FARTHEST, which misses the tail by at most 6.4e-9 of it, or 2.5e-17. So that the tail has digits, a² is
taken in two parts: the square of the first half of a's digits, which is exact, and the rest.
"""

from convcore.kernels.common cimport floating
from convcore.kernels.exponential cimport exponential_of_two


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #define CONVCORE_FIRST_HALF(name, number, bits, mask) \\
        static inline number name(number a) {             \\
            bits digits;                                  \\
            memcpy(&digits, &a, sizeof a);                \\
            digits &= mask;                               \\
            memcpy(&a, &digits, sizeof a);                \\
            return a;                                     \\
        }
    CONVCORE_FIRST_HALF(convcore_first_half_float, float, uint32_t, 0xfffff000)
    CONVCORE_FIRST_HALF(convcore_first_half_double, double, uint64_t, 0xfffffffff8000000)

    static inline float convcore_tail_float(float z) {
        return (((((((((-0.00011718335f) * z + 6.14757996e-5f) * z + 0.00135936154f) * z - 0.00199590318f) * z
            - 0.0080403038f) * z + 0.0439232104f) * z - 0.108312021f) * z + 0.165512171f) * z - 0.137513366f) * z
            - 0.055893582f;
    }

    static inline double convcore_tail_double(double z) {
        return ((((((((((((((((((((((-1.007167785883615e-9) * z - 7.0028386102448751e-10) * z + 1.2087442869668701e-8) * z
            + 1.8410039220161629e-8) * z - 5.838691031767823e-8) * z - 1.5640803125747255e-7) * z
            + 1.6159273789585074e-7) * z + 9.3630054264713467e-7) * z - 1.3008097946683196e-7) * z
            - 5.0925331202266011e-6) * z - 1.7701737598591205e-6) * z + 2.9022839411178233e-5) * z
            + 1.3476645277612507e-5) * z - 0.0001891827821971912) * z + 3.2240989943996759e-7) * z
            + 0.0013894717683790653) * z - 0.0019607179820059036) * z - 0.008044039197657976) * z
            + 0.043916234158261332) * z - 0.10831190901453208) * z + 0.16551263712159303) * z - 0.13751336767274059) * z
            - 0.055893586980310643;
    }
    """
    float convcore_first_half_float(float a) noexcept nogil
    double convcore_first_half_double(double a) noexcept nogil
    float convcore_tail_float(float z) noexcept nogil
    double convcore_tail_double(double z) noexcept nogil


cdef inline floating farthest(floating x) noexcept nogil:
    """FARTHEST, for the type of x: beyond, the density would be denormal, and counts as 0."""
    return <floating> 13.19 if floating is float else <floating> 37.62


cdef inline floating normal_below(floating x, floating* density) noexcept nogil:
    """The part of a normal distribution below x, and its density at x."""
    cdef floating one = 1, half = 0.5, four = 4, size = -x if x < 0 else x, head, rest, bell, w, z, tail
    cdef floating a = farthest(x) if size > farthest(x) else size
    if floating is float:
        head = convcore_first_half_float(a)
    else:
        head = convcore_first_half_double(a)
    rest = half * ((head - a) * (head + a))
    bell = exponential_of_two(-half * (head * head), rest)          # e^(−a²/2)
    bell = 0 if size > farthest(x) else bell
    w = a / (a + four)
    z = (a - four) / (a + four)
    if floating is float:
        tail = bell * (half + w * convcore_tail_float(z)) / (one + a)
    else:
        tail = bell * (half + w * convcore_tail_double(z)) / (one + a)
    density[0] = bell * <floating> 0.39894228040143267794           # 1 / √(2π)
    return one - tail if x > 0 else tail

"""Adam, one pass over weights, both averages and gradient of many parameters."""

from cython.parallel cimport prange
from libc.math cimport sqrt, sqrtf

from convcore.kernels.common cimport floating

include "parts.pxi"


def update(geometry, floating[::1] weights not None, floating[::1] gradient_average not None,
           floating[::1] squared_gradient_average not None, const floating[::1] gradient not None, int n_threads,
           moving, rate, l2, gradient_correction, squared_correction, double gradient_decay, double squared_decay,
           double epsilon):
    """Change weights w and averages m, s in place, with g = gradient + l2 · weights.

    m = β₁·m + (1 − β₁)·g; s = β₂·s + (1 − β₂)·g²; w = w − rate · m/correction₁ / (√(s/correction₂) + ε). Rate, l2 and
    corrections are those of each part; the corrections are drawn in front of the loop: one into the rate, the root of
    the other in front of the root.
    """
    cdef Py_ssize_t part, thread
    cdef Share share
    cdef Py_ssize_t[:, ::1] parts = moving_parts(geometry, moving)
    cdef double[::1] rates = np.divide(rate, gradient_correction, dtype=np.float64)
    cdef double[::1] scales = np.power(squared_correction, -0.5, dtype=np.float64), decays = np.asarray(l2, np.float64)
    cdef floating b1 = <floating> gradient_decay, c1 = <floating> (1 - gradient_decay)
    cdef floating b2 = <floating> squared_decay, c2 = <floating> (1 - squared_decay)
    for thread in prange(n_threads, nogil=True, schedule="static", num_threads=n_threads):
        for part in range(parts.shape[0]):
            share = share_of(&parts[part, 0], thread, n_threads)
            if share.size == 0:
                continue
            update_part(&weights[share.start], &gradient_average[share.start], &squared_gradient_average[share.start],
                        &gradient[share.start], share.size, <floating> rates[part], <floating> decays[part], b1, c1, b2,
                        c2, <floating> scales[part], <floating> epsilon)


cdef void update_part(floating* w, floating* m, floating* s, const floating* g, Py_ssize_t count, floating rate,
                      floating l2, floating b1, floating c1, floating b2, floating c2, floating scale,
                      floating epsilon) noexcept nogil:
    cdef Py_ssize_t j
    cdef floating gradient, root
    for j in range(count):
        gradient = g[j] + l2 * w[j]
        m[j] = b1 * m[j] + c1 * gradient
        s[j] = b2 * s[j] + c2 * gradient * gradient
        root = sqrtf(s[j]) if floating is float else sqrt(s[j])
        w[j] = w[j] - rate * (m[j] / (root * scale + epsilon))

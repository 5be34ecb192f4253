"""Activations, element by element; blocks of a fixed size, so that the threads share the work evenly.

Each function is a line of arithmetic without a branch, of which the compiler makes whole vectors.
"""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating
from convcore.kernels.exponential cimport exponential, exponential_minus_1, largest_exponent
from convcore.kernels.normal cimport normal_below

cdef enum:
    BLOCK = 8192

cdef enum Function:
    LEAKY_RELU
    CLIPPED_RELU
    ELU
    SWISH
    GELU
    TANH
    SIGMOID

FUNCTIONS = {"leaky_relu": LEAKY_RELU, "clipped_relu": CLIPPED_RELU, "elu": ELU, "swish": SWISH, "gelu": GELU,
             "tanh": TANH, "sigmoid": SIGMOID}


def forward(geometry, const floating[::1] x not None, floating[::1] y not None, int n_threads):
    """Write y = f(x)."""
    cdef Function f = FUNCTIONS[geometry.op]
    cdef floating parameter = geometry.parameter
    cdef Py_ssize_t block, size = x.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        forward_block(f, parameter, &x[block * BLOCK], &y[block * BLOCK], min(<Py_ssize_t> BLOCK, size - block * BLOCK))


def backward_input(geometry, const floating[::1] grad_y not None, const floating[::1] seen not None,
                   floating[::1] grad_x not None, int n_threads):
    """Write grad_x = grad_y · f'(x), from what the function needs to see for it: x, or y."""
    cdef Function f = FUNCTIONS[geometry.op]
    cdef floating parameter = geometry.parameter
    cdef Py_ssize_t block, size = seen.shape[0]
    for block in prange((size + BLOCK - 1) // BLOCK, nogil=True, schedule="static", num_threads=n_threads):
        backward_block(f, parameter, &grad_y[block * BLOCK], &seen[block * BLOCK], &grad_x[block * BLOCK],
                       min(<Py_ssize_t> BLOCK, size - block * BLOCK))


cdef void forward_block(Function f, floating parameter, const floating* x, floating* y, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    if f == LEAKY_RELU:
        for j in range(count):
            y[j] = x[j] * parameter if x[j] < 0 else x[j]
    elif f == CLIPPED_RELU:
        for j in range(count):
            y[j] = 0 if x[j] <= 0 else parameter if x[j] >= parameter else x[j]
    elif f == ELU:
        for j in range(count):
            y[j] = x[j] if x[j] > 0 else parameter * exponential_minus_1(x[j])
    elif f == SWISH:
        for j in range(count):
            y[j] = swish_of(x[j])
    elif f == GELU:
        for j in range(count):
            y[j] = gelu_of(x[j])
    elif f == TANH:
        for j in range(count):
            y[j] = tanh_of(x[j])
    else:
        for j in range(count):
            y[j] = logistic(x[j])


cdef void backward_block(Function f, floating parameter, const floating* grad_y, const floating* seen,
                         floating* grad_x, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    cdef floating one = 1                       # a plain 1 is a double, and all that meets it
    if f == LEAKY_RELU:
        for j in range(count):
            grad_x[j] = grad_y[j] * parameter if seen[j] <= 0 else grad_y[j]
    elif f == CLIPPED_RELU:
        for j in range(count):
            grad_x[j] = inside(seen[j], parameter, grad_y[j])
    elif f == ELU:
        for j in range(count):
            grad_x[j] = grad_y[j] if seen[j] > 0 else grad_y[j] * (parameter * vanishing(seen[j]))
    elif f == SWISH:
        for j in range(count):
            grad_x[j] = grad_y[j] * swish_slope(seen[j])
    elif f == GELU:
        for j in range(count):
            grad_x[j] = grad_y[j] * gelu_slope(seen[j])
    elif f == TANH:
        for j in range(count):
            grad_x[j] = grad_y[j] * (one - seen[j] * seen[j])
    else:
        for j in range(count):
            grad_x[j] = grad_y[j] * (seen[j] * (one - seen[j]))


cdef inline floating tanh_of(floating x) noexcept nogil:
    """tanh x = (e^2x − 1) / (e^2x + 1)."""
    cdef floating twice = x + x, two = 2, grown
    twice = 40 if twice > 40 else twice             # 1 from there on; far below, the quotient is −1 by itself
    grown = exponential_minus_1(twice)
    return grown / (grown + two)


cdef inline floating logistic(floating x) noexcept nogil:
    """1 / (1 + e^−x); 0 where that would be denormal."""
    cdef floating one = 1, y = one / (one + exponential(-x))
    return 0 if x < -largest_exponent(x) else y


cdef inline floating vanishing(floating x) noexcept nogil:
    """e^x; 0 where that would be denormal."""
    cdef floating y = exponential(x)
    return 0 if x < -largest_exponent(x) else y


cdef inline floating inside(floating x, floating ceiling, floating gradient) noexcept nogil:
    """The gradient strictly between 0 and the ceiling, and where x is NaN; one question after the other."""
    gradient = 0 if x <= 0 else gradient
    return 0 if x >= ceiling else gradient


cdef inline floating swish_of(floating x) noexcept nogil:
    """x times the logistic function; 0 where that is, −inf among them, for −inf · 0 would be NaN."""
    cdef floating s = logistic(x), y = x * s
    return 0 if s == 0 else y


cdef inline floating swish_slope(floating x) noexcept nogil:
    """With s the logistic function: s · (1 + x · (1 − s)), where 1 − s is e^−x · s: the difference would lose digits."""
    cdef floating one = 1, grown = exponential(-x), s, flat
    grown = 0 if x > largest_exponent(x) else grown
    s = one / (one + grown)
    s = 0 if x < -largest_exponent(x) else s
    flat = s * (grown * s)
    return s + (0 if flat == 0 else flat * x)           # inf · 0 would be NaN


cdef inline floating gelu_of(floating x) noexcept nogil:
    """x times the part of a normal distribution below x; 0 where that is, as in swish."""
    cdef floating density, below = normal_below(x, &density), y = x * below
    return 0 if below == 0 else y


cdef inline floating gelu_slope(floating x) noexcept nogil:
    """The part below x, plus x times the density there."""
    cdef floating density, below = normal_below(x, &density), sloped = x * density
    return below + (0 if density == 0 else sloped)      # inf · 0 would be NaN

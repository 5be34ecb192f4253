"""Max-pooling in 1-D to 3-D: some planes per task, each as max_pool_plane.pxi has it.

Vectors of outputs are computed at a time, see max_pool_vectors.pxi.tp.
"""

from cython.parallel cimport prange

from convcore.kernels.common cimport floating
from convcore.kernels.pool_sizes cimport Limits, PoolSizes, end_of, find_limits, first_of, in_quads, pool_sizes

include "vectors.pxi"
include "max_pool_plane.pxi"

cdef enum:
    TASK_CELLS = 2048           # of the input


def forward(geometry, x, y, index, n_threads):
    """Write the maxima y and where in its plane each stood. The first of equals wins; NaN wins over everything.

    x (N, C, *in) IN; y, index (N, C, *out) OUT; index -1: the window sees only padding, y is -inf.
    """
    forward_planes(geometry, x.reshape(-1), y.reshape(-1), index.reshape(-1), False, n_threads)


def forward_relu(geometry, x, y, index, n_threads):
    """Write the maxima of ReLU(x), which are ReLU of the maxima: x is read once, and four times less is compared to 0.

    As forward, but index is -1 wherever y is 0: no gradient goes anywhere from there.
    """
    forward_planes(geometry, x.reshape(-1), y.reshape(-1), index.reshape(-1), True, n_threads)


def forward_planes(geometry,
                   const floating[::1] x not None,      # IN  N·C planes of IH·IW cells, in 3-D volumes
                   floating[::1] y not None,            # OUT N·C planes of OH·OW cells
                   int[::1] index not None,             # OUT the same
                   bint relu,
                   int n_threads):
    """The planes of forward, one after the other in memory, whatever the number of dimensions."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef Py_ssize_t task, planes = planes_of_task(&s)
    for task in prange(blocks(s.planes, planes), nogil=True, schedule="static", num_threads=n_threads):
        forward_task(&s, &x[0], task * planes, min(task * planes + planes, s.planes), relu, &y[0], &index[0])


cdef Py_ssize_t planes_of_task(PoolSizes* s) noexcept nogil:
    return max(<Py_ssize_t> 1, TASK_CELLS // s.in_cells)


cdef void forward_task(PoolSizes* s, const floating* x, Py_ssize_t first, Py_ssize_t end, bint relu, floating* y,
                       int* index) noexcept nogil:
    """The planes from `first` on and before `end`."""
    cdef Py_ssize_t plane
    for plane in range(first, end):
        pool_plane(s, x + plane * s.in_cells, (s.planes - plane) * s.in_cells, relu, y + plane * s.out_cells,
                   index + plane * s.out_cells, (end - plane) * s.out_cells)


def backward_input(geometry, grad_y, index, grad_x, n_threads):
    """Write grad_x: each output's gradient goes to the cell that won.

    grad_y, index (N, C, *out) IN; grad_x (N, C, *in) OUT.
    """
    backward_planes(geometry, grad_y.reshape(-1), index.reshape(-1), grad_x.reshape(-1), n_threads)


def backward_planes(geometry,
                    const floating[::1] grad_y not None,    # IN  N·C planes of OH·OW cells, in 3-D volumes
                    const int[::1] index not None,          # IN  the same, from forward
                    floating[::1] grad_x not None,          # OUT N·C planes of IH·IW cells
                    int n_threads):
    """The planes of backward_input, one after the other in memory, whatever the number of dimensions."""
    cdef PoolSizes s = pool_sizes(geometry)
    cdef Py_ssize_t task, planes = planes_of_task(&s)
    for task in prange(blocks(s.planes, planes), nogil=True, schedule="static", num_threads=n_threads):
        backward_task(&s, &grad_y[0], &index[0], task * planes, min(task * planes + planes, s.planes), &grad_x[0])


cdef void backward_task(PoolSizes* s, const floating* grad_y, const int* index, Py_ssize_t first, Py_ssize_t end,
                        floating* grad_x) noexcept nogil:
    """The planes from `first` on and before `end`."""
    cdef Py_ssize_t plane
    for plane in range(first, end):
        spread_plane(s, grad_y + plane * s.out_cells, index + plane * s.out_cells, (s.planes - plane) * s.out_cells,
                     grad_x + plane * s.in_cells, (end - plane) * s.in_cells)

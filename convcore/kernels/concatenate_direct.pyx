"""Joining matrices row by row, and cutting them apart: bytes are moved, whatever they stand for."""

from cython.parallel cimport prange
from libc.string cimport memcpy

import numpy as np


def forward(geometry, *arrays):
    """Write the rows of all but the last of the arrays one behind the other into the last; then comes n_threads."""
    *parts, y, n_threads = arrays
    move(parts, y, True, n_threads)


def backward_input(geometry, grad_y, *arrays):
    """Write the parts of the rows of grad_y that the arrays were; then comes n_threads."""
    *parts, n_threads = arrays
    move(parts, grad_y, False, n_threads)


cdef move(parts, joined, bint into, int n_threads):
    """Copy parts into what they are joined to, or back."""
    cdef const unsigned char[:, ::1] whole = joined.view(np.uint8)
    cdef const unsigned char[:, ::1] part
    cdef unsigned char* a
    cdef unsigned char* b
    cdef Py_ssize_t row, place = 0
    for array in parts:
        part = array.view(np.uint8)
        for row in prange(part.shape[0], nogil=True, schedule="static", num_threads=n_threads):
            a, b = <unsigned char*> &part[row, 0], <unsigned char*> &whole[row, place]
            memcpy(b if into else a, a if into else b, part.shape[1])
        place += part.shape[1]

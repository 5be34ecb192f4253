# How the updates of optimizers go through many parameters at once: in blocks, none of which reaches into another's.

from convcore.kernels.buffers import aligned

import numpy as np

cdef enum:
    BLOCK = 4096

cdef struct Block:
    Py_ssize_t start, count, part


cdef Py_ssize_t[:, ::1] blocks_of(geometry, moving, Py_ssize_t* count):
    """Return the blocks of the parts that move, as rows of three numbers, and how many there are."""
    cdef Py_ssize_t[:, ::1] table = aligned(1, 3 * (len(geometry.sizes) + geometry.size // BLOCK + 1), np.dtype(np.intp))
    cdef Block* blocks = <Block*> &table[0, 0]
    cdef Py_ssize_t part, size, start = 0, begin, number = 0
    for part, size in enumerate(geometry.sizes):
        if moving[part]:
            for begin in range(0, size, BLOCK):
                blocks[number] = Block(start + begin, min(<Py_ssize_t> BLOCK, size - begin), part)
                number += 1
        start += size
    count[0] = number
    return table

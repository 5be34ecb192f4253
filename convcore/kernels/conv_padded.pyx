"""Convolution with a pattern or a number around the images: a few are padded at a time, then computed without padding.

Forward and weight gradient read padded images, which whatever variant suits them takes for images without padding. The
input gradient is that of the padded images, folded: what a cell of the border receives goes to the cell it repeats.
"""

import dataclasses
import functools
import math

import numpy as np

from cython.parallel cimport prange
from libc.string cimport memcpy

from convcore.isa import level_of
from convcore.kernels import dispatch, registry
from convcore.kernels.buffers import aligned
from convcore.kernels.common cimport ConvSizes, conv_sizes, floating, source_cell

SCRATCH = 8 * 2**20             # bytes of padded images, at most
AT_ONCE = 16                    # images are taken in whole multiples of it where so many fit: some kernels' lanes
LEVEL = level_of(__name__)


def forward(geometry, x, weight, bias, y, n_threads):
    """Write y (N, OC, ...) from x (N, IC, ...), weight (OC, IC/G, ...) and bias (OC,) or None."""
    memory = memory_for(geometry, x.dtype)
    for start, part in parts_of(geometry, x.dtype):
        end, padded = start + part.batch, padded_images(part, memory)
        pad(geometry, x[start:end], padded, n_threads)
        run_inside(part, "forward", padded, weight, bias, y[start:end], n_threads)


def backward_input(geometry, grad_y, weight, grad_x, n_threads):
    """Write grad_x (N, IC, ...) from grad_y (N, OC, ...) and weight (OC, IC/G, ...)."""
    memory = memory_for(geometry, grad_x.dtype)
    for start, part in parts_of(geometry, grad_x.dtype):
        end, padded = start + part.batch, padded_images(part, memory)
        run_inside(part, "backward_input", grad_y[start:end], weight, padded, n_threads)
        fold(geometry, padded, grad_x[start:end], n_threads)


def backward_weight(geometry, grad_y, x, grad_weight, n_threads):
    """Write grad_weight (OC, IC/G, ...) from grad_y (N, OC, ...) and x (N, IC, ...): those of the parts, in order."""
    sums, memory = grad_weight, memory_for(geometry, x.dtype)
    for start, part in parts_of(geometry, x.dtype):
        end, padded = start + part.batch, padded_images(part, memory)
        pad(geometry, x[start:end], padded, n_threads)
        run_inside(part, "backward_weight", grad_y[start:end], padded, sums, n_threads)
        if start > 0:
            grad_weight += sums
        else:
            sums = np.empty_like(grad_weight)


def supports(direction, geometry, dtype, level):
    """Refuse images that fill the working memory."""
    size = math.prod(unpadded(geometry, 1).shapes["x"]) * dtype.itemsize
    return f"a padded image takes {size / 2**20:.1f} MiB, more than {SCRATCH / 2**20:.0f}" if size > SCRATCH else None


def suits(direction, geometry, dtype, level):
    """Stand back for zeros, and where the variant that takes zeros takes what is around these images, too."""
    if geometry.padding_value == 0:
        return "the others pad with zeros on their way"
    zeros = dataclasses.replace(geometry, padding_value=0.0)
    best = dispatch.chosen(geometry.op, direction, zeros, dtype, level)
    if registry.passed_over(geometry.op, best, direction, geometry, dtype, level) is None:
        return f"{best}, which takes zeros, takes this on its way"
    return None


def rounding_factor(direction, geometry, dtype, level):
    """That of the variants that compute the parts."""
    names = {dispatch.chosen(geometry.op, direction, part, dtype, level) for _, part in parts_of(geometry, dtype)}
    return max((registry.rounding_factor(geometry.op, name, level) for name in names), default=1.0)


def run_inside(part, direction, *arrays_and_threads):
    """Compute a direction of a part without padding, by the variant that suits it, even where another is forced."""
    *inputs, out, n_threads = arrays_and_threads
    variant = dispatch.chosen(part.op, direction, part, out.dtype, LEVEL)
    dispatch.run(part.op, direction, part, *inputs, variant=variant, level=LEVEL, n_threads=n_threads, out=out)


def parts_of(geometry, dtype):
    """Return per part of the images: the first of them, and the problem without padding."""
    n, most = geometry.batch, images_at_once(geometry, dtype)
    return [(start, unpadded(geometry, min(most, n - start))) for start in range(0, n, most)]


def images_at_once(geometry, dtype):
    """How many images are padded at a time."""
    fitting = SCRATCH // (math.prod(unpadded(geometry, 1).shapes["x"]) * dtype.itemsize)
    return max(1, min(geometry.batch, fitting // AT_ONCE * AT_ONCE or fitting))


def memory_for(geometry, dtype):
    """Return memory for the padded images of a part."""
    return aligned(1, math.prod(unpadded(geometry, images_at_once(geometry, dtype)).shapes["x"]), dtype)


def padded_images(part, memory):
    """Return the memory as the padded images of a part."""
    shape = part.shapes["x"]
    return memory[0, :math.prod(shape)].reshape(shape)


@functools.lru_cache(maxsize=256)
def unpadded(geometry, batch):
    """The same problem on so many images that are padded already, as far as they are read."""
    read = tuple((o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(
        geometry.out_size, geometry.stride, geometry.filter_size, geometry.dilation, strict=True))
    return dataclasses.replace(geometry, batch=batch, in_size=read, padding=((0, 0),) * len(read), padding_value=0.0)


cdef struct Axis:               # of an image with what stands around it
    Py_ssize_t size, padded, before
    Py_ssize_t* cells           # per padded cell: the cell of the image that it repeats, -1: none


cdef int find_axes(geometry, Py_ssize_t[:, ::1] table, Axis* axes) except -1:
    """Fill in depth, height and width."""
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef Py_ssize_t i, p
    cdef Py_ssize_t* cells = &table[0, 0]
    axes[0] = Axis(s.ID, (s.OD - 1) * s.SD + (s.KD - 1) * s.DD + 1, s.front, NULL)
    axes[1] = Axis(s.IH, (s.OH - 1) * s.SH + (s.KH - 1) * s.DH + 1, s.top, NULL)
    axes[2] = Axis(s.IW, (s.OW - 1) * s.SW + (s.KW - 1) * s.DW + 1, s.left, NULL)
    for i in range(3):
        axes[i].cells = cells
        for p in range(axes[i].padded):
            cells[p] = source_cell(p - axes[i].before, axes[i].size, s.mode)
        cells += axes[i].padded
    return 0


def table_for(geometry):
    """Memory for the cells of a frame."""
    return aligned(1, sum(unpadded(geometry.volumetric, 1).in_size), np.dtype(np.intp))


def planes(geometry, array):
    """An array of images as (images · channels, cells)."""
    return array.reshape(array.shape[0] * geometry.in_channels, -1)


# images -> padded images

def pad(geometry, x, padded, n_threads):
    """Write the padded images."""
    value = 0.0 if geometry.padding_mode else geometry.padding_value
    pad_planes(geometry, table_for(geometry), planes(geometry, x), planes(geometry, padded), value, n_threads)


def pad_planes(geometry, Py_ssize_t[:, ::1] table, const floating[:, ::1] x, floating[:, ::1] padded, double value,
               int n_threads):
    cdef Axis[3] axes
    cdef Py_ssize_t plane
    find_axes(geometry, table, axes)
    for plane in prange(x.shape[0], nogil=True, schedule="static", num_threads=n_threads):
        pad_plane(axes, &axes[1], &axes[2], &x[plane, 0], <floating> value, &padded[plane, 0])


cdef void pad_plane(const Axis* D, const Axis* H, const Axis* W, const floating* image, floating value,
                    floating* target) noexcept nogil:
    cdef Py_ssize_t d, h, w, depth, row
    for d in range(D.padded):
        depth = D.cells[d]
        for h in range(H.padded):
            row = H.cells[h]
            if depth < 0 or row < 0:
                for w in range(W.padded):
                    target[w] = value
            else:
                pad_row(W, image + (depth * H.size + row) * W.size, value, target)
            target += W.padded


cdef inline void pad_row(const Axis* W, const floating* row, floating value, floating* target) noexcept nogil:
    cdef Py_ssize_t w, first = min(W.before, W.padded), end = min(first + W.size, W.padded)
    for w in range(first):
        target[w] = value if W.cells[w] < 0 else row[W.cells[w]]
    memcpy(target + first, row, (end - first) * sizeof(floating))
    for w in range(end, W.padded):
        target[w] = value if W.cells[w] < 0 else row[W.cells[w]]


# gradients of padded images -> gradients of images

def fold(geometry, padded, grad_x, n_threads):
    """Write grad_x: each of its cells receives what those receive that repeat it."""
    fold_planes(geometry, table_for(geometry), planes(geometry, padded), planes(geometry, grad_x), n_threads)


def fold_planes(geometry, Py_ssize_t[:, ::1] table, const floating[:, ::1] padded, floating[:, ::1] grad_x,
                int n_threads):
    cdef Axis[3] axes
    cdef Py_ssize_t plane
    find_axes(geometry, table, axes)
    for plane in prange(padded.shape[0], nogil=True, schedule="static", num_threads=n_threads):
        fold_plane(axes, &axes[1], &axes[2], &padded[plane, 0], &grad_x[plane, 0])


cdef void fold_plane(const Axis* D, const Axis* H, const Axis* W, const floating* padded,
                     floating* grad_x) noexcept nogil:
    """The image itself first, then the rows above and below it, and those of the planes before and behind."""
    cdef Py_ssize_t d, h, i, depth, row
    cdef floating* target
    for d in range(D.size):
        for h in range(H.size):
            depth, row = d + D.before, h + H.before
            target = grad_x + (d * H.size + h) * W.size
            if depth < D.padded and row < H.padded:
                fold_row(W, padded + (depth * H.padded + row) * W.padded, False, target)
            else:
                for i in range(W.size):                         # no output reads so far
                    target[i] = 0
    for d in range(D.padded):
        for h in range(H.padded):
            depth, row = D.cells[d], H.cells[h]
            if depth >= 0 and row >= 0 and (depth != d - D.before or row != h - H.before):
                fold_row(W, padded + (d * H.padded + h) * W.padded, True, grad_x + (depth * H.size + row) * W.size)


cdef inline void fold_row(const Axis* W, const floating* source, bint added, floating* row) noexcept nogil:
    """Write a row of the image from one of the padded image, or add to it."""
    cdef Py_ssize_t w, first = min(W.before, W.padded), end = min(first + W.size, W.padded)
    if added:
        for w in range(end - first):
            row[w] += source[first + w]
    else:
        memcpy(row, source + first, (end - first) * sizeof(floating))
        for w in range(end - first, W.size):
            row[w] = 0
    for w in range(first):
        if W.cells[w] >= 0:
            row[W.cells[w]] += source[w]
    for w in range(end, W.padded):
        if W.cells[w] >= 0:
            row[W.cells[w]] += source[w]

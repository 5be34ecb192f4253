"""Convolution with a pattern or a number around the images: a few are padded at a time, then computed without padding.

Forward and weight gradient read padded images, which whatever variant suits them takes for images without padding. The
input gradient is that of the padded images, folded: what a cell of the border receives goes to the cell it repeats.
"""

import dataclasses
import functools
import math

import numpy as np

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy

from convcore.isa import level_of
from convcore.kernels import dispatch, inside, registry
from convcore.kernels.buffers import aligned, own_pages
from convcore.kernels.common cimport CONSTANT, ConvSizes, conv_sizes, floating, source_cell

include "frame.pxi"

SCRATCH = 8 * 2**20             # bytes of padded images, at most
AT_ONCE = 16                    # images are taken in whole multiples of it where so many fit: some kernels' lanes
LEVEL = level_of(__name__)


def forward(geometry, x, weight, bias, y, n_threads):
    """Write y (N, OC, ...) from x (N, IC, ...), weight (OC, IC/G, ...) and bias (OC,) or None."""
    memory = memory_for(geometry, x.dtype)
    for start, part in parts_of(geometry, x.dtype):
        end, padded = start + part.batch, padded_images(part, memory)
        pad(geometry, x[start:end], padded, n_threads)
        inside.run(part, "forward", padded, weight, bias, level=LEVEL, n_threads=n_threads, out=y[start:end])


def backward_input(geometry, grad_y, weight, grad_x, n_threads):
    """Write grad_x (N, IC, ...) from grad_y (N, OC, ...) and weight (OC, IC/G, ...)."""
    memory = memory_for(geometry, grad_x.dtype)
    for start, part in parts_of(geometry, grad_x.dtype):
        end, padded = start + part.batch, padded_images(part, memory)
        inside.run(part, "backward_input", grad_y[start:end], weight, level=LEVEL, n_threads=n_threads, out=padded)
        fold(geometry, padded, grad_x[start:end], n_threads)


def backward_weight(geometry, grad_y, x, grad_weight, n_threads):
    """Write grad_weight (OC, IC/G, ...) from grad_y (N, OC, ...) and x (N, IC, ...): those of the parts, in order."""
    memory = memory_for(geometry, x.dtype)
    for start, part, sums in inside.added_up(parts_of(geometry, x.dtype), grad_weight):
        end, padded = start + part.batch, padded_images(part, memory)
        pad(geometry, x[start:end], padded, n_threads)
        inside.run(part, "backward_weight", grad_y[start:end], padded, level=LEVEL, n_threads=n_threads, out=sums)


def supports(direction, geometry, dtype, level):
    """Refuse images with zeros around them, or nothing, and those that fill the working memory."""
    if not any(before or after for before, after in geometry.padding):
        return "nothing is around the images"
    if geometry.padding_value == 0:
        return "the others pad with zeros on their way"
    size = math.prod(unpadded(geometry, 1).shapes["x"]) * dtype.itemsize
    return f"a padded image takes {size / 2**20:.1f} MiB, more than {SCRATCH / 2**20:.0f}" if size > SCRATCH else None


def suits(direction, geometry, dtype, level):
    """Stand back where the variant that takes zeros can take what is around these images, too."""
    zeros = dataclasses.replace(geometry, padding_value=0.0)
    best = dispatch.chosen(geometry.op, direction, zeros, dtype, level)
    if registry.refusal(geometry.op, best, direction, geometry, dtype, level) is None:
        return f"{best}, which takes zeros, can take this on its way"
    return None


def rounding_factor(direction, geometry, dtype, level):
    """That of the variants that compute the parts."""
    return inside.rounding_factor(parts_of(geometry, dtype), direction, dtype, level)


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


def planes(geometry, array):
    """An array of images as (images · channels, cells)."""
    return array.reshape(array.shape[0] * geometry.in_channels, -1)


# images -> padded images

def pad(geometry, x, padded, n_threads):
    """Write the padded images."""
    value = 0.0 if geometry.padding_mode else geometry.padding_value
    pad_planes(geometry, planes(geometry, x), planes(geometry, padded), value, n_threads)


def pad_planes(geometry, const floating[:, ::1] x, floating[:, ::1] padded, double value, int n_threads):
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef FrameAxis[3] axes
    cdef Py_ssize_t[:, ::1] table = find_frame(&s, axes)
    cdef Py_ssize_t plane
    for plane in prange(x.shape[0], nogil=True, schedule="static", num_threads=n_threads):
        pad_plane(axes, &axes[1], &axes[2], &x[plane, 0], <floating> value, &padded[plane, 0])


cdef void pad_plane(const FrameAxis* D, const FrameAxis* H, const FrameAxis* W, const floating* image, floating value,
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


cdef inline void pad_row(const FrameAxis* W, const floating* row, floating value, floating* target) noexcept nogil:
    cdef Py_ssize_t w, first = min(W.before, W.padded), end = min(first + W.size, W.padded)
    for w in range(first):
        target[w] = value if W.cells[w] < 0 else row[W.cells[w]]
    memcpy(target + first, row, (end - first) * sizeof(floating))
    for w in range(end, W.padded):
        target[w] = value if W.cells[w] < 0 else row[W.cells[w]]


# gradients of padded images -> gradients of images

def fold(geometry, padded, grad_x, n_threads):
    """Write grad_x: each of its cells receives what those receive that repeat it."""
    fold_planes(geometry, planes(geometry, padded), planes(geometry, grad_x), n_threads)


def fold_planes(geometry, const floating[:, ::1] padded, floating[:, ::1] grad_x, int n_threads):
    cdef ConvSizes s = conv_sizes(geometry.volumetric)
    cdef FrameAxis[3] axes
    cdef Py_ssize_t[:, ::1] table = find_frame(&s, axes)
    cdef signed char[:, ::1] seen = rows_unseen(axes, n_threads)
    cdef Py_ssize_t plane
    for plane in prange(padded.shape[0], nogil=True, schedule="static", num_threads=n_threads):
        fold_plane(axes, &padded[plane, 0], &grad_x[plane, 0], &seen[threadid(), 0])


cdef void fold_plane(const FrameAxis* axes, const floating* padded, floating* grad_x, signed char* seen) noexcept nogil:
    cdef Py_ssize_t d
    for d in range(axes[0].padded):
        fold_rows(axes, d, 0, 1, axes[1].padded, padded + d * axes[1].padded * axes[2].padded, axes[2].padded, grad_x,
                  seen)
    fold_nothing(axes, grad_x, seen)

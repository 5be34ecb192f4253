"""Dilated convolution without a dilation: each of its phases is an image of its own.

With a dilation of d, an output looks at every d-th cell only. So the cells of an image fall into d × d smaller images,
each of which is convolved with the filter as it is, by whatever variant suits it. A few images are taken apart at a time,
with what stands around them; results are put together, gradients of cells that repeat others are added up.
"""

import dataclasses
import functools
import math

import numpy as np

from cython.parallel cimport prange

from convcore.isa import level_of
from convcore.kernels import dispatch, inside
from convcore.kernels.buffers import aligned
from convcore.kernels.common cimport source_cell

SCRATCH = 8 * 2**20             # bytes of phases, at most
DTYPE = np.dtype(np.float32)    # the only one
INDEX = np.dtype(np.intp)
LEVEL = level_of(__name__)

cdef enum:
    AROUND = -1                 # in a table of cells: what stands around the image,
    NOTHING = -2                # or what no output looks at


def forward(geometry, x, weight, bias, y, n_threads):
    """Write y (N, OC, OH, OW) from x (N, IC, IH, IW), weight (OC, IC/G, KH, KW) and bias (OC,) or None."""
    (cells, outputs), memory = tables(geometry), memory_for(geometry)
    for start, part in parts_of(geometry):
        end, (inputs, results) = start + part.batch // phases_of(geometry), phases_in(part, memory)
        take_apart(x[start:end], cells, around(geometry), inputs, n_threads)
        inside.run(part, "forward", inputs, weight, bias, level=LEVEL, n_threads=n_threads, out=results)
        put_together(results, outputs, y[start:end], n_threads)


def backward_input(geometry, grad_y, weight, grad_x, n_threads):
    """Write grad_x (N, IC, IH, IW) from grad_y (N, OC, OH, OW) and weight (OC, IC/G, KH, KW)."""
    (cells, outputs), memory = tables(geometry), memory_for(geometry)
    for start, part in parts_of(geometry):
        end, (inputs, results) = start + part.batch // phases_of(geometry), phases_in(part, memory)
        take_apart(grad_y[start:end], outputs, 0, results, n_threads)
        inside.run(part, "backward_input", results, weight, level=LEVEL, n_threads=n_threads, out=inputs)
        put_together(inputs, cells, grad_x[start:end], n_threads)


def backward_weight(geometry, grad_y, x, grad_weight, n_threads):
    """Write grad_weight (OC, IC/G, KH, KW) from grad_y (N, OC, OH, OW) and x (N, IC, IH, IW): of the parts, in order."""
    (cells, outputs), memory = tables(geometry), memory_for(geometry)
    for start, part, sums in inside.added_up(parts_of(geometry), grad_weight):
        end, (inputs, results) = start + part.batch // phases_of(geometry), phases_in(part, memory)
        take_apart(x[start:end], cells, around(geometry), inputs, n_threads)
        take_apart(grad_y[start:end], outputs, 0, results, n_threads)
        inside.run(part, "backward_weight", results, inputs, level=LEVEL, n_threads=n_threads, out=sums)


def supports(direction, geometry, dtype, level):
    """Refuse what has no dilation, or a stride, and images that fill the working memory."""
    if dtype != DTYPE:
        return "computes in float32 only"
    if geometry.stride != (1, 1):
        return f"stride is {geometry.stride}, wants 1"
    if geometry.dilation == (1, 1):
        return "dilation is 1: there is one phase only"
    size = bytes_of_image(geometry)
    return f"an image in phases takes {size / 2**20:.1f} MiB, more than {SCRATCH / 2**20:.0f}" if size > SCRATCH else None


def suits(direction, geometry, dtype, level):
    """Stand back where fewer multiplications do not pay for taking images apart, and putting results together.

    Measured: that takes as long as 12 multiply-adds per channel and filter of a cell, each of which has C · K.
    """
    best = dispatch.chosen(geometry.op, direction, inner(geometry, images_at_once(geometry)), dtype, level)
    if best != "winograd":
        return f"phases are not worth it, {best} would compute them"
    channels, filters = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
    if channels * filters < 12 * (channels + filters):
        return f"{channels} channels and {filters} filters are too few to be worth taking images apart"
    return None


def rounding_factor(direction, geometry, dtype, level):
    """That of the variants that compute the phases."""
    return inside.rounding_factor(parts_of(geometry), direction, dtype, level)


def around(geometry):
    """The number around an image, if it is no pattern."""
    return 0.0 if geometry.padding_mode else geometry.padding_value


def phases_of(geometry):
    """How many images become of one."""
    return math.prod(min(d, o) for d, o in zip(geometry.dilation, geometry.out_size, strict=True))


@functools.lru_cache(maxsize=256)
def inner(geometry, images):
    """The problem of the phases of so many images: no dilation, and no padding, which is in the phases."""
    outputs = tuple(-(-o // d) for o, d in zip(geometry.out_size, geometry.dilation, strict=True))
    read = tuple(o + k - 1 for o, k in zip(outputs, geometry.filter_size, strict=True))
    return dataclasses.replace(geometry, batch=images * phases_of(geometry), in_size=read, padding=((0, 0), (0, 0)),
                               padding_value=0.0, dilation=(1, 1))


def bytes_of_image(geometry):
    """What the phases of an image and of its outputs take."""
    shapes = inner(geometry, 1).shapes
    return DTYPE.itemsize * (math.prod(shapes["x"]) + math.prod(shapes["y"]))


def images_at_once(geometry):
    """How many images are taken apart at a time."""
    return max(1, min(geometry.batch, SCRATCH // bytes_of_image(geometry)))


def parts_of(geometry):
    """Return per part of the images: the first of them, and the problem of their phases."""
    n, most = geometry.batch, images_at_once(geometry)
    return [(start, inner(geometry, min(most, n - start))) for start in range(0, n, most)]


def memory_for(geometry):
    """Return memory for the phases of a part's images and of their outputs."""
    return aligned(1, images_at_once(geometry) * bytes_of_image(geometry) // DTYPE.itemsize, DTYPE)


def phases_in(part, memory):
    """Return the memory as those of a part."""
    x, y = part.shapes["x"], part.shapes["y"]
    read = math.prod(x)
    return memory[0, :read].reshape(x), memory[0, read:read + math.prod(y)].reshape(y)


# Tables: per axis, phase and cell of it, which cell of the image or of the outputs that is

def tables(geometry):
    """Return those of the images, and those of the outputs: for each axis an array (phases, cells)."""
    both = [], []
    for axis, (size, outputs, k, d) in enumerate(zip(geometry.in_size, geometry.out_size, geometry.filter_size,
                                                     geometry.dilation, strict=True)):
        phases, length = min(d, outputs), -(-outputs // d)
        before, padded = geometry.padding[axis][0], outputs + (k - 1) * d
        both[0].append(cells_of(phases, length + k - 1, d, before, size, padded, geometry.padding_mode))
        both[1].append(cells_of(phases, length, d, 0, outputs, outputs, 0))
    return both


def cells_of(Py_ssize_t phases, Py_ssize_t length, Py_ssize_t step, Py_ssize_t before, Py_ssize_t size, Py_ssize_t padded,
             int mode):
    """Per phase and cell: the cell of an axis of `size` cells, `before` of which stand before the first of `padded`."""
    table = np.empty((phases, length), INDEX)
    cdef Py_ssize_t[:, ::1] cells = table
    cdef Py_ssize_t phase, i, cell
    for phase in range(phases):
        for i in range(length):
            cell = phase + i * step
            cells[phase, i] = source_cell(cell - before, size, mode) if cell < padded else NOTHING
    return table


cdef struct Axis:
    Py_ssize_t phases, length
    const Py_ssize_t* cells


cdef Axis axis_of(const Py_ssize_t[:, ::1] table):
    return Axis(table.shape[0], table.shape[1], &table[0, 0])


# images -> phases

def take_apart(const float[:, :, :, ::1] images, cells, float value, float[:, :, :, ::1] phases, int n_threads):
    """Write the phases of some images: (N · phases, C, ...) from (N, C, ...), with a value where no pattern is around."""
    cdef Axis H = axis_of(cells[0]), W = axis_of(cells[1])
    cdef Py_ssize_t channels = images.shape[1], task
    for task in prange(phases.shape[0] * channels, nogil=True, schedule="static", num_threads=n_threads):
        take_phase(&H, &W, task // channels % (H.phases * W.phases), value,
                   &images[task // channels // (H.phases * W.phases), task % channels, 0, 0], images.shape[3],
                   &phases[task // channels, task % channels, 0, 0])


cdef void take_phase(const Axis* H, const Axis* W, Py_ssize_t phase, float value, const float* plane, Py_ssize_t width,
                     float* target) noexcept nogil:
    cdef const Py_ssize_t* rows = H.cells + phase // W.phases * H.length
    cdef const Py_ssize_t* columns = W.cells + phase % W.phases * W.length
    cdef Py_ssize_t i, j, h, w
    for i in range(H.length):
        h = rows[i]
        for j in range(W.length):
            w = columns[j]
            if h >= 0 and w >= 0:
                target[j] = plane[h * width + w]
            else:
                target[j] = 0 if h == NOTHING or w == NOTHING else value
        target += W.length


# phases -> images

def put_together(const float[:, :, :, ::1] phases, cells, float[:, :, :, ::1] images, int n_threads):
    """Write some images (N, C, ...) from their phases; what belongs to the same cell is added up in order."""
    cdef Axis H = axis_of(cells[0]), W = axis_of(cells[1])
    cdef Py_ssize_t channels = images.shape[1], of_image = H.phases * W.phases, task
    for task in prange(images.shape[0] * channels, nogil=True, schedule="static", num_threads=n_threads):
        put_plane(&H, &W, &phases[task // channels * of_image, task % channels, 0, 0],
                  channels * phases.shape[2] * phases.shape[3], &images[task // channels, task % channels, 0, 0],
                  images.shape[2], images.shape[3])


cdef void put_plane(const Axis* H, const Axis* W, const float* phases, Py_ssize_t step, float* plane, Py_ssize_t height,
                    Py_ssize_t width) noexcept nogil:
    cdef const float* source
    cdef const Py_ssize_t* rows
    cdef const Py_ssize_t* columns
    cdef Py_ssize_t phase, i, j
    for i in range(height * width):
        plane[i] = 0
    for phase in range(H.phases * W.phases):
        source = phases + phase * step
        rows = H.cells + phase // W.phases * H.length
        columns = W.cells + phase % W.phases * W.length
        for i in range(H.length):
            if rows[i] >= 0:
                for j in range(W.length):
                    if columns[j] >= 0:
                        plane[rows[i] * width + columns[j]] += source[i * W.length + j]

"""Problems that were computed before: their arrays are looked at, and they are computed; nothing is chosen again.

In Python these few steps would take longer than the kernel of a small problem. Compiled for the baseline.
"""

import numpy as np

from convcore._compiled.cpu import DenormalsAsZeros
from convcore.kernels import buffers
from convcore.kernels.calls import Computing

cdef object ndarray = np.ndarray


cdef class Likeness:
    """What an array was like: None, or of a shape and a dtype; and the shape in which the kernel wants it, if another."""

    cdef object shape, dtype, lifted

    def __init__(self, array, lifted):
        self.shape, self.dtype = (None, None) if array is None else (array.shape, array.dtype)
        self.lifted = None if lifted == self.shape else lifted

    cdef bint fits(self, array):
        if array is None or self.shape is None:
            return array is self.shape
        return (type(array) is ndarray and array.dtype is self.dtype and array.shape == self.shape
                and array.flags.c_contiguous)

    cdef object handed(self, array):
        """The array as the kernel wants it."""
        return array if array is None or self.lifted is None else array.reshape(self.lifted)


cdef class Routine:
    """What computes a direction of a problem, and what its arrays were like when it did so before.

    Parameters
    ----------
    made : Made
        The call.
    conditions : object
        What it depended on besides its problem and its arrays.

    Examples
    --------
    >>> from convcore.kernels import FlatGeometry
    >>> from convcore.kernels.dispatch import conditions, prepared
    >>> x = np.array([-1.0, 1.0])
    >>> relu = Routine(prepared("relu", "forward", FlatGeometry("relu", 2), [x]), conditions())
    >>> relu((x,)), relu((x[:1],))
    (array([0., 1.]), None)
    """

    cdef object function, geometry, computing
    cdef list takes, gives
    cdef int n_threads
    cdef readonly object conditions

    def __init__(self, made, conditions):
        call, arrays = made.call, (*made.arrays, *made.outputs)
        likenesses = list(map(Likeness, arrays, call.lifted or (None,) * len(arrays)))
        self.takes, self.gives = likenesses[: len(made.arrays)], likenesses[len(made.arrays) :]
        self.function, self.geometry, self.n_threads = call.function, call.geometry, call.n_threads
        self.computing = Computing if call.n_threads > 1 else DenormalsAsZeros      # one thread is apart by itself
        self.conditions = conditions

    @staticmethod
    def can_repeat(made):
        """Whether it can be made of a call: of one that writes new arrays only, and whose function does all there is."""
        call, in_place = made.call, getattr(made.geometry, "IN_PLACE", ())
        return bool(made.outputs) and not (call.empty or call.relu_follows or made.parameters or in_place)

    def __call__(self, tuple inputs, out=None):
        """Return what is computed; None where an array is not as those before, so that somebody must look closer."""
        cdef list arguments = [self.geometry], outputs
        cdef Likeness like
        cdef Py_ssize_t i
        if len(inputs) != len(self.takes):
            return None
        for i in range(len(inputs)):
            like = self.takes[i]
            if not like.fits(inputs[i]):
                return None
            arguments.append(like.handed(inputs[i]))
        if out is None:
            outputs = [buffers.empty(like.shape, like.dtype) for like in self.gives]
        elif len(self.gives) == 1 and can_take(out, self.gives[0], inputs):
            outputs = [out]
        else:
            return None
        for i in range(len(outputs)):
            like = self.gives[i]
            arguments.append(like.handed(outputs[i]))
        arguments.append(self.n_threads)
        with self.computing(self.n_threads):
            self.function(*arguments)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


cdef bint can_take(out, Likeness like, tuple inputs):
    """Whether an array can be written to, and shares no memory: neither it nor an input has somebody else's."""
    if not (like.fits(out) and out.flags.writeable and out.base is None):
        return False
    for array in inputs:
        if array is not None and (array is out or array.base is not None):
            return False
    return True

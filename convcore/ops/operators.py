"""What makes ``x + y`` and ``x.sum()`` work: the engine knows no op, so the ops attach themselves to what it has."""

from convcore.ops import reduce
from convcore.ops.activation import sigmoid, tanh
from convcore.ops.elementwise import add, added, divide, exp, log, multiply, negative, power, subtract
from convcore.ops.matmul import matmul
from convcore.ops.shape import flatten, getitem, reshape, transpose


def attach(Tensor, Tape):
    """Give a Tensor class its operators and methods, and a Tape class the way in which gradients are added up.

    Parameters
    ----------
    Tensor, Tape : type

    Examples
    --------
    >>> from convcore.autograd import Tape, Tensor
    >>> attach(Tensor, Tape)
    >>> (2 * Tensor([1, 2, 3]) - 1).sum()
    Tensor(9.)
    """
    Tensor.__add__, Tensor.__radd__ = add, reflected(add)
    Tensor.__sub__, Tensor.__rsub__ = subtract, reflected(subtract)
    Tensor.__mul__, Tensor.__rmul__ = multiply, reflected(multiply)
    Tensor.__truediv__, Tensor.__rtruediv__ = divide, reflected(divide)
    Tensor.__pow__, Tensor.__rpow__ = power, reflected(power)
    Tensor.__matmul__, Tensor.__rmatmul__ = matmul, reflected(matmul)
    Tensor.__neg__ = negative
    Tensor.__getitem__ = getitem
    Tensor.sum, Tensor.mean, Tensor.max = reduce.sum, reduce.mean, reduce.max
    Tensor.reshape, Tensor.flatten, Tensor.transpose = reshape, flatten, transpose
    Tensor.T = property(transpose, doc="The tensor with its axes reversed.")
    Tensor.exp, Tensor.log, Tensor.tanh, Tensor.sigmoid = exp, log, tanh, sigmoid
    Tape.add = staticmethod(added)


def reflected(op):
    """Return the operator for the right side: Python asks it when the left side does not know Tensors."""

    def operator(b, a):
        return op(a, b)

    operator.__name__ = f"reflected_{op.__name__}"
    operator.__doc__ = f"`{op.__name__}` with this tensor as the right side."
    return operator

"""What max-pooling in 1-D, 2-D and 3-D share."""

from convcore.autograd import as_tensor, record
from convcore.kernels import PoolGeometry, run


def forward(op, x, pool_size, stride, padding, dilation, ceil_mode, return_indices):
    """Return the maxima of `op`, "max_pool1d" to "max_pool3d", and where they stood if that is asked for."""
    x = as_tensor(x, f"{op}: x")
    geometry = PoolGeometry.of(op, x.shape, pool_size, stride, padding, dilation, None, ceil_mode)
    if not isinstance(return_indices, bool):
        raise TypeError(f"{op}: return_indices must be True or False, got {return_indices!r}")
    maxima, index = run(op, "forward", geometry, x.data)
    y = record(op, maxima, inputs=(x,), backward=backward, saved={"index": index}, geometry=geometry)
    return (y, index.copy()) if return_indices else y


def backward(record, grad_y, needs):
    """Each output's gradient goes to the cell that won."""
    return (run(record.op, "backward_input", record.geometry, grad_y, record.saved["index"]),)

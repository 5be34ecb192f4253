"""What average-pooling in 1-D, 2-D and 3-D share."""

from convcore.autograd import as_tensor, record
from convcore.kernels import PoolGeometry, run


def forward(op, x, pool_size, stride, padding, padding_value, dilation, ceil_mode):
    """Return the averages of `op`, "avg_pool1d" to "avg_pool3d"."""
    x = as_tensor(x, f"{op}: x")
    if padding_value is None:
        raise TypeError(f'{op}: padding_value must be a number or "mean", got None')
    geometry = PoolGeometry.of(op, x.shape, pool_size, stride, padding, dilation, padding_value, ceil_mode)
    y = run(op, "forward", geometry, x.data)
    return record(op, y, inputs=(x,), backward=backward, geometry=geometry)


def backward(record, grad_y, needs):
    """Each output's gradient is shared out evenly over its window."""
    return (run(record.op, "backward_input", record.geometry, grad_y),)

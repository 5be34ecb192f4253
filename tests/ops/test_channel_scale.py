"""channel_scale: its value and the gradient of x."""

import numpy as np

import convcore as cc
from convcore.ops.channel_scale import channel_scale

SCALE, SHIFT = np.array([2.0, -3.0]), np.array([1.0, 0.5])


def test_value_and_gradient():
    x = np.arange(12.0).reshape(2, 2, 3)
    y = channel_scale(cc.Tensor(x), SCALE, SHIFT)
    np.testing.assert_array_equal(y.data, x * SCALE[:, None] + SHIFT[:, None])
    assert cc.gradcheck(lambda x: channel_scale(x, SCALE, SHIFT), (x,))
    grad = cc.gradient(lambda x: cc.sum(channel_scale(x, SCALE, SHIFT)))(x)
    np.testing.assert_array_equal(grad, np.broadcast_to(SCALE[:, None], x.shape))

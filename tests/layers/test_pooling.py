"""MaxPool2D and AvgPool2D, which differ in what becomes of a window."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc

LAYERS = pytest.mark.parametrize(
    ("Pool", "function", "word"), [(cc.MaxPool2D, cc.max_pool2d, "max"), (cc.AvgPool2D, cc.avg_pool2d, "average")]
)


@LAYERS
@pytest.mark.parametrize(
    ("pool_size", "options", "properties", "output"),
    [
        (2, {}, ((2, 2), (2, 2), (0, 0, 0, 0)), (3, 4)),  # the stride is the pool size, not 1
        ((3, 2), {}, ((3, 2), (3, 2), (0, 0, 0, 0)), (2, 4)),
        ((3, 2), {"stride": 1}, ((3, 2), (1, 1), (0, 0, 0, 0)), (5, 7)),
        (2, {"stride": (2, 1), "padding": 1}, ((2, 2), (2, 1), (1, 1, 1, 1)), (4, 9)),
        (3, {"padding": (1, 0)}, ((3, 3), (3, 3), (1, 1, 0, 0)), (3, 2)),
        (3, {"padding": [0, 1, 2, 3]}, ((3, 3), (3, 3), (0, 1, 2, 3)), (2, 4)),
        (3, {"padding": "same"}, ((3, 3), (3, 3), "same"), (3, 3)),
        (3, {"padding": "same", "stride": 2}, ((3, 3), (2, 2), "same"), (4, 4)),
    ],
)
def test_properties_and_sizes(Pool, function, word, pool_size, options, properties, output):
    layer = Pool(pool_size, **options)
    assert (layer.pool_size, layer.stride, layer.padding) == properties
    assert layer.output_shape((3, 7, 8)) == (3, *output)
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 8))
    y = layer.forward(cc.Tensor(x), False, None)
    assert y.shape == (2, 3, *output)
    assert_array_equal(y.data, function(x, pool_size, **options).data)


@LAYERS
def test_printed_forms(Pool, function, word):
    layer = Pool(2, padding=(1, 0), name="p")
    assert layer.description() == f"2x2 {word} pooling with stride [2 2] and padding [1 1 0 0]"
    assert Pool((2, 3), stride=1, padding="same").description() == (
        f"2x3 {word} pooling with stride [1 1] and padding 'same'"
    )
    assert repr(layer) == f"{Pool.__name__}((2, 2), stride=(2, 2), padding=(1, 1, 0, 0), name='p')"
    for other in (layer, Pool((3, 2), stride=1, padding="same"), Pool(2)):
        assert eval(repr(other), vars(cc)).config() == other.config()


SIZE = "must be an int or 2 ints, got"


@LAYERS
@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        *[({name: value}, error, f"{name} {text}") for name in ("pool_size", "stride") for value, error, text in [
            (0, ValueError, "must be at least 1, got 0"),
            ((1, 2, 3), ValueError, f"{SIZE} 3"),
            (1.5, TypeError, f"{SIZE} 1.5"),
            ("2", TypeError, f"{SIZE} '2'"),
            (True, TypeError, f"{SIZE} True"),
        ]],
        ({"pool_size": None}, TypeError, f"pool_size {SIZE} None"),
        ({"padding": "full"}, ValueError, 'padding must be "same", an int, 2 ints or 4 ints, got \'full\''),
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": (1, 2, 3)}, ValueError, "padding must be an int, 2 ints or 4 ints, got 3"),
        ({"padding": None}, TypeError, f"padding {SIZE} None"),
        ({"name": 1}, TypeError, "name must be a str, got int"),
    ],
)  # fmt: skip
def test_bad_input(Pool, function, word, arguments, error, text):
    with pytest.raises(error) as caught:
        Pool(**{"pool_size": 2, **arguments})
    assert str(caught.value) == f"{Pool.__name__}: {text}"


@LAYERS
def test_inputs_that_do_not_fit(Pool, function, word):
    for name in ("", "pool1"):
        with pytest.raises(ValueError) as caught:
            Pool(2, name=name).output_shape((10,))
        assert str(caught.value) == f"{name or Pool.__name__}: expects images (channels, height, width), got (10,)"
    with pytest.raises(ValueError) as caught:
        Pool(2).output_shape((3, 1, 8))
    assert str(caught.value) == f"{function.__name__}: the window covers 2 cells in height, the padded input has 1"

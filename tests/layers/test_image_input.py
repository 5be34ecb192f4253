import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import convcore as cc
from convcore.layers import image_input

# Two images of 1 × 2 pixels in two channels, the second of which is constant.
IMAGES = np.array([[[[1.0, 3]], [[5, 5]]], [[[5, 7]], [[5, 5]]]])
OTHER = np.array([[[[3.0, 9]], [[5, 7]]]])  # an image that was not in the training data
ROOT5 = np.sqrt(5)
NORMALIZATIONS = ["zerocenter", "zscore", "rescale-zero-one", "rescale-symmetric"]


def fitted(normalization, images=IMAGES):
    layer = cc.ImageInput(images.shape[1:], normalization=normalization)
    layer.fit(images)
    return layer


def run(layer, x, dtype="float64"):
    return layer.forward(cc.Tensor(np.asarray(x, dtype)), False, None)


@pytest.mark.parametrize(
    ("normalization", "statistics", "training", "other"),
    [
        ("zerocenter", {"mean": [4, 5]}, [[-3, -1], [1, 3]], [[-1, 5], [0, 2]]),
        ("zscore", {"mean": [4, 5], "std": [ROOT5, 0]}, np.array([[-3, -1], [1, 3]]) / ROOT5,
         [[-1 / ROOT5, ROOT5], [0, 2]]),
        ("rescale-zero-one", {"min": [1, 5], "max": [7, 5]}, [[0, 1 / 3], [2 / 3, 1]], [[1 / 3, 4 / 3], [0, 2]]),
        ("rescale-symmetric", {"min": [1, 5], "max": [7, 5]}, [[-1, -1 / 3], [1 / 3, 1]],
         [[-1 / 3, 5 / 3], [-1, 1]]),
        ("none", {}, [[1, 3], [5, 7]], [[3, 9], [5, 7]]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
def test_by_hand(normalization, statistics, training, other, dtype):
    """The statistics are per channel; a channel without spread is only shifted."""
    layer = fitted(normalization, IMAGES.astype(dtype))
    assert list(layer.remembered) == list(statistics)
    for name, values in statistics.items():
        assert layer.remembered[name].shape == (2, 1, 1)
        assert layer.remembered[name].dtype == np.float64
        assert_allclose(layer.remembered[name].ravel(), values, rtol=1e-15)
    for images, part, expected in ((IMAGES, np.s_[:, 0, 0], training), (OTHER, np.s_[0, :, 0], other)):
        y = run(layer, images).data
        assert_allclose(y[part], expected, rtol=1e-14, atol=1e-15)
        single = run(layer, images, "float32").data
        assert single.dtype == np.float32
        assert_allclose(single, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_statistics_in_pieces_equal_those_of_the_whole(normalization, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (23, 3, 4, 5), np.uint8)
    whole = fitted(normalization, images).remembered
    monkeypatch.setattr(image_input, "PIECE", 5)
    pieces = fitted(normalization, images).remembered
    for name, array in whole.items():
        assert_allclose(pieces[name], array, rtol=1e-14)
        if name != "std":
            assert_array_equal(pieces[name], array)  # integers add up exactly
    floats = images.astype(float)
    expected = {"mean": floats.mean((0, 2, 3)), "std": floats.std((0, 2, 3)), "min": floats.min((0, 2, 3)),
                "max": floats.max((0, 2, 3))}  # fmt: skip
    for name, array in pieces.items():
        assert_allclose(array.ravel(), expected[name], rtol=1e-13)


def test_a_small_spread_on_a_large_mean_is_not_lost():
    images = 1e6 + np.random.default_rng(0).standard_normal((50, 1, 4, 4))
    assert fitted("zscore", images).remembered["std"].item() == pytest.approx(images.std(), rel=1e-9)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_before_any_training_images_stay_as_they_are(normalization):
    layer = cc.ImageInput((2, 1, 2), normalization=normalization)
    x = cc.Tensor(IMAGES)
    assert layer.forward(x, False, None) is x


@pytest.mark.parametrize("normalization", [*NORMALIZATIONS, "none"])
def test_gradients_reach_the_images(normalization):
    layer = fitted(normalization)
    assert cc.gradcheck(lambda x: layer.forward(x, False, None), (OTHER,))
    assert_allclose(layer.forward(cc.Tensor(OTHER, requires_grad=True), False, None).data, run(layer, OTHER).data)


def test_the_input_is_not_changed():
    x = OTHER.copy()
    run(fitted("zscore"), x)
    assert_array_equal(x, OTHER)


def halved(x):
    return cc.multiply(x, 0.5)


def test_a_function():
    layer = cc.ImageInput((2, 1, 2), normalization=halved)
    layer.fit(IMAGES)
    assert layer.remembered == {}
    assert_array_equal(run(layer, OTHER).data, OTHER / 2)
    assert layer.description() == "1x2x2 images with 'custom' normalization"
    for wrong in (lambda x: x.data, lambda x: cc.flatten(x), lambda x: cc.Tensor(x.data.astype("f4")), lambda x: None):
        layer = cc.ImageInput((2, 1, 2), normalization=wrong)
        with pytest.raises(ValueError) as caught:
            run(layer, OTHER)
        text = "ImageInput: the normalization must return a Tensor like its input, float64 (1, 2, 1, 2)"
        assert str(caught.value) == text


def test_printed_forms():
    layer = cc.ImageInput((1, 28, 20))
    assert repr(layer) == "ImageInput((1, 28, 20))"
    assert layer.description() == "28x20x1 images with 'zerocenter' normalization"
    assert repr(cc.ImageInput([1, 2, np.int64(3)], normalization="zscore", name="in")) == (
        "ImageInput((1, 2, 3), normalization='zscore', name='in')"
    )


NAMES = "zerocenter, zscore, rescale-zero-one, rescale-symmetric, none"
TRIPLE = "input_size must be (channels, height, width), got"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"input_size": 3}, TypeError, f"{TRIPLE} 3"),
        ({"input_size": None}, TypeError, f"{TRIPLE} None"),
        ({"input_size": "abc"}, TypeError, f"{TRIPLE} 'abc'"),
        ({"input_size": (28, 28)}, TypeError, f"{TRIPLE} (28, 28)"),
        ({"input_size": (0, 1, 1)}, ValueError, "input_size[0] must be at least 1, got 0"),
        ({"input_size": (1, 2.0, 3)}, TypeError, "input_size[1] must be an int, got 2.0"),
        ({"input_size": (1, 2, True)}, TypeError, "input_size[2] must be an int, got True"),
        ({"normalization": "zero"}, ValueError, f"normalization must be one of {NAMES} or a function, got 'zero'"),
        ({"normalization": None}, TypeError, "normalization must be a name or a function, got None"),
        ({"normalization": 3}, TypeError, "normalization must be a name or a function, got 3"),
    ],
)
def test_bad_input(arguments, error, text):
    with pytest.raises(error) as caught:
        cc.ImageInput(**{"input_size": (1, 2, 2), **arguments})
    assert str(caught.value) == f"ImageInput: {text}"


ARRAY = "ImageInput: images must be float32, float64, integers or booleans, got"


@pytest.mark.parametrize(
    ("images", "error", "text"),
    [
        (IMAGES[:0], ValueError, "ImageInput: normalization needs at least 1 image, got 0"),
        (IMAGES[:, :1], ValueError, "ImageInput: expects images (N, 2, 1, 2), got (2, 1, 1, 2)"),
        (IMAGES[0], ValueError, "ImageInput: expects images (N, 2, 1, 2), got (2, 1, 2)"),
        ("a", TypeError, f"{ARRAY} dtype <U1"),
        (IMAGES.astype(np.float16), TypeError, f"{ARRAY} dtype float16"),
    ],
)
def test_bad_training_images(images, error, text):
    layer = cc.ImageInput((2, 1, 2))
    with pytest.raises(error) as caught:
        layer.fit(images)
    assert str(caught.value) == text
    assert layer.remembered == {}


def test_images_of_another_size():
    for name in ("", "input"):
        layer = cc.ImageInput((2, 1, 2), name=name)
        with pytest.raises(ValueError) as caught:
            run(layer, np.zeros((3, 2, 2, 1)))
        assert str(caught.value) == f"{name or 'ImageInput'}: expects images (N, 2, 1, 2), got (3, 2, 2, 1)"
        with pytest.raises(ValueError):
            layer.output_shape((2, 2, 1))

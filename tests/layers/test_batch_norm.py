import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import convcore as cc


def made(layer, input_shape=(3, 4, 5), dtype="float64"):
    layer.initialize(input_shape, np.random.default_rng(0), np.dtype(dtype))
    return layer


def batches(*sizes, shape=(3, 4, 5), dtype="f8", seed=0):
    rng = np.random.default_rng(seed)
    return [cc.Tensor((rng.uniform(-5, 5) + 2 * rng.standard_normal((n, *shape))).astype(dtype)) for n in sizes]


def statistics(layer):
    return layer.trained_mean, layer.trained_variance


AXES = (0, 2, 3)


def test_defaults():
    layer = cc.BatchNorm()
    expected = {
        "epsilon": 1e-5, "mean_decay": 0.1, "variance_decay": 0.1, "offset_initializer": "zeros",
        "scale_initializer": "ones", "offset": None, "scale": None, "trained_mean": None, "trained_variance": None,
        "num_channels": "auto", "offset_learn_rate_factor": 1, "scale_learn_rate_factor": 1, "offset_l2_factor": 1,
        "scale_l2_factor": 1, "name": "", "layout": "channels",
    }  # fmt: skip
    assert {name: getattr(layer, name) for name in expected} == expected
    assert not layer.initialized


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("input_shape", [(3,), (3, 7), (3, 4, 5), (3, 2, 2, 2)], ids=str)
def test_parameters_and_states(input_shape, dtype):
    layer = made(cc.BatchNorm(), input_shape, dtype)
    assert layer.initialized
    assert list(layer.learnables) == ["scale", "offset"]
    assert list(layer.remembered) == ["trained_mean", "trained_variance"]
    for array, value in ((layer.scale.data, 1), (layer.offset.data, 0), (layer.trained_mean, 0),
                         (layer.trained_variance, 1)):  # fmt: skip
        assert_array_equal(array, np.full(3, value, dtype), strict=True)
    assert layer.num_channels == 3
    assert layer.output_shape(input_shape) == input_shape
    assert layer.multiply_adds(input_shape) == np.prod(input_shape)
    x = cc.Tensor(np.random.default_rng(0).standard_normal((4, *input_shape)).astype(dtype))
    for training in (True, False):
        y = layer.forward(x, training, None)
        assert (y.shape, y.dtype) == (x.shape, dtype)
    assert layer.trained_mean.dtype == layer.trained_variance.dtype == dtype


def test_given_arrays():
    layer = cc.BatchNorm(scale=[1, 2], offset=[3, 4], trained_mean=[5, 6], trained_variance=[7, 8], epsilon=1)
    assert layer.num_channels == 2
    assert_array_equal([layer.scale, layer.offset, *statistics(layer)], [[1, 2], [3, 4], [5, 6], [7, 8]])
    made(layer, (2,), "float32")
    assert_array_equal([layer.scale.data, layer.offset.data, *statistics(layer)], [[1, 2], [3, 4], [5, 6], [7, 8]])
    x = np.array([[5, 6], [5 + np.sqrt(8), 9]], "f4")
    assert_allclose(layer.forward(cc.Tensor(x), False, None).data, [[3, 4], [4, 6]], rtol=1e-6)


def test_initializers():
    layer = made(cc.BatchNorm(scale_initializer=lambda size, rng: rng.uniform(1, 2, size), offset_initializer="ones"))
    assert ((layer.scale.data >= 1) & (layer.scale.data < 2)).all()
    assert len(set(layer.scale.data)) == 3
    assert_array_equal(layer.offset.data, [1, 1, 1])
    layer = made(cc.BatchNorm(scale_initializer="narrow-normal"), (10_000,))
    assert_allclose(layer.scale.data.std(), 0.01, rtol=0.05)
    with pytest.raises(ValueError) as caught:
        made(cc.BatchNorm(scale_initializer=lambda size: np.ones(2)))
    assert str(caught.value) == "BatchNorm: scale: what the initializer returns must have shape (3,), got (2,)"


def test_factors():
    layer = cc.BatchNorm(scale_learn_rate_factor=2, offset_learn_rate_factor=3, scale_l2_factor=4, offset_l2_factor=5)
    made(layer)
    assert (layer.scale.learn_rate_factor, layer.offset.learn_rate_factor) == (2, 3)
    assert (layer.scale.l2_factor, layer.offset.l2_factor) == (4, 5)
    layer.offset_l2_factor = 0
    assert layer.offset.l2_factor == layer.offset_l2_factor == 0
    assert not hasattr(layer, "weights")
    assert not hasattr(layer, "weight_l2_factor")


# ---------------------------------------------------------------------------------------------------------- statistics


def test_forward_is_the_function():
    layer = made(cc.BatchNorm(epsilon=0.01, scale=[1, 2, 3], offset=[3, 4, 5]))
    (x,) = batches(4)
    mean, variance = np.zeros(3), np.ones(3)
    y = layer.forward(x, True, None)
    given = (x, [1.0, 2, 3], [3.0, 4, 5], mean, variance)
    assert_array_equal(y.data, cc.batch_norm(*given, training=True, epsilon=0.01).data)
    assert_array_equal(statistics(layer), (mean, variance))
    assert_array_equal(layer.forward(x, False, None).data, cc.batch_norm(*given, training=False, epsilon=0.01).data)
    assert_array_equal(statistics(layer), (mean, variance))  # prediction learns nothing


@given(mean_decay=st.floats(0, 1), variance_decay=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_the_moving_rule(mean_decay, variance_decay, seed):
    layer = made(cc.BatchNorm(mean_decay=mean_decay, variance_decay=variance_decay))
    mean, variance = np.zeros(3), np.ones(3)
    for x in batches(2, 5, 1, seed=seed):
        layer.forward(x, True, None)
        mean = mean_decay * x.data.mean(axis=AXES) + (1 - mean_decay) * mean
        variance = variance_decay * x.data.var(axis=AXES) + (1 - variance_decay) * variance
    assert_allclose(layer.trained_mean, mean, rtol=1e-12, atol=1e-13)
    assert_allclose(layer.trained_variance, variance, rtol=1e-12)


def test_statistics_are_replaced_never_written_into():
    layer = made(cc.BatchNorm())
    before = statistics(layer)
    layer.forward(*batches(4), True, None)
    assert_array_equal(before, [[0, 0, 0], [1, 1, 1]])


def test_an_empty_batch_teaches_nothing():
    layer = made(cc.BatchNorm())
    for begin in (lambda: None, layer.begin_population_statistics):
        begin()
        assert layer.forward(cc.Tensor(np.zeros((0, 3, 4, 5))), True, None).shape == (0, 3, 4, 5)
        assert_array_equal(statistics(layer), [[0, 0, 0], [1, 1, 1]])


@given(sizes=st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(sum), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_population_statistics_are_those_of_all_batches_together(sizes, seed):
    layer = made(cc.BatchNorm())
    data = batches(*sizes, seed=seed)
    layer.begin_population_statistics()
    for x in data:
        y = layer.forward(x, True, None)
        assert_array_equal(y.data, cc.batch_norm(x, np.ones(3), np.zeros(3), None, None, training=True).data)
        assert_array_equal(statistics(layer), [[0, 0, 0], [1, 1, 1]])  # nothing moves in between
    layer.end_population_statistics()
    everything = np.concatenate([x.data for x in data])
    assert_allclose(layer.trained_mean, everything.mean(axis=AXES), rtol=1e-13, atol=1e-13)
    assert_allclose(layer.trained_variance, everything.var(axis=AXES), rtol=1e-13)
    mean = layer.trained_mean
    (x,) = batches(4, seed=1000)
    layer.forward(x, True, None)  # and afterwards the moving rule again
    assert_allclose(layer.trained_mean, 0.9 * mean + 0.1 * x.data.mean(axis=AXES), rtol=1e-12, atol=1e-13)


def test_population_statistics_with_a_huge_mean():
    layer = made(cc.BatchNorm(), (1,))
    deviations = np.random.default_rng(0).integers(-8, 9, (6, 10, 1))
    layer.begin_population_statistics()
    for part in deviations:
        layer.forward(cc.Tensor(1e9 + part), True, None)
    layer.end_population_statistics()
    assert_allclose(layer.trained_mean - 1e9, deviations.mean(), atol=1e-6)
    assert_allclose(layer.trained_variance, deviations.var(), rtol=1e-6)


def test_population_statistics_keep_the_networks_dtype():
    layer = made(cc.BatchNorm(), dtype="float32")
    layer.begin_population_statistics()
    layer.forward(*batches(4, dtype="f4"), True, None)
    layer.end_population_statistics()
    assert layer.trained_mean.dtype == layer.trained_variance.dtype == np.float32


def test_population_statistics_begin_anew():
    """After an exception in between, or when the user thinks better of it."""
    layer = made(cc.BatchNorm())
    first, second = batches(3, 4)
    layer.begin_population_statistics()
    layer.forward(first, True, None)
    layer.begin_population_statistics()
    layer.forward(second, True, None)
    layer.end_population_statistics()
    assert_allclose(layer.trained_mean, second.data.mean(axis=AXES), rtol=1e-13)
    kept = statistics(layer)
    layer.begin_population_statistics()
    layer.forward(first, True, None)
    layer.cancel_population_statistics()
    assert_array_equal(statistics(layer), kept)
    layer.forward(first, True, None)
    assert_allclose(layer.trained_mean, 0.9 * kept[0] + 0.1 * first.data.mean(axis=AXES), rtol=1e-12)


def test_population_statistics_of_nothing():
    layer = made(cc.BatchNorm(name="bn"))
    with pytest.raises(RuntimeError) as caught:
        layer.end_population_statistics()
    assert str(caught.value) == "bn: end_population_statistics without begin_population_statistics"
    layer.begin_population_statistics()
    with pytest.raises(RuntimeError) as caught:
        layer.end_population_statistics()
    text = "bn: no values between begin_population_statistics and end_population_statistics"
    assert str(caught.value) == text
    assert_array_equal(statistics(layer), [[0, 0, 0], [1, 1, 1]])


# ---------------------------------------------------------------------------------------------------------- in networks


def network(dtype="float32"):
    return cc.Network([cc.ImageInput((1, 8, 8), normalization="none"), cc.Conv2D(3, 4), cc.BatchNorm(name="bn"),
                       cc.ReLU(), cc.FullyConnected(3), cc.BatchNorm(scale_l2_factor=0), cc.Softmax()],
                      dtype=dtype)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_save_and_load(tmp_path, dtype):
    net = network(dtype)
    x = np.random.default_rng(0).standard_normal((6, 1, 8, 8))
    net.forward(x, training=True)
    net.layers[2].scale.assign([1, 2, 3, 4])
    net.save(tmp_path / "net.safetensors")
    loaded = cc.load(tmp_path / "net.safetensors")
    assert repr(loaded) == repr(net)
    assert list(loaded.parameters())[:4] == ["conv.weights", "conv.bias", "bn.scale", "bn.offset"]
    assert set(net.states()) == {
        f"{name}.trained_{what}" for name in ("bn", "batchnorm") for what in ("mean", "variance")
    }
    for name, array in net.arrays().items():
        assert_array_equal(loaded.arrays()[name], array, strict=True)
    assert (loaded.layers[2].num_channels, loaded.layers[5].scale.l2_factor) == (4, 0)
    assert_array_equal(loaded.predict(x), net.predict(x))
    assert loaded.summary().totals["learnables"] == sum(p.size for p in net.parameters().values())


def test_load_arrays_into_a_living_network():
    net, other = network(), network()
    x = np.random.default_rng(0).standard_normal((6, 1, 8, 8))
    net.forward(x, training=True)
    other.initialize(seed=5)
    scale = other.layers[2].scale
    other.load_arrays(net.arrays())
    assert other.layers[2].scale is scale
    assert_array_equal(other.predict(x), net.predict(x))
    arrays = net.arrays()
    del arrays["bn.trained_mean"]
    with pytest.raises(ValueError) as caught:
        other.load_arrays(arrays)
    assert str(caught.value) == "load_arrays: no array bn.trained_mean"


def test_a_network_learns_with_it_the_same_bits_for_any_threads():
    x, y = cc.data.load("digits").train
    runs = []
    for n_threads in (1, 2, 3):
        net = cc.Network([cc.ImageInput(x.shape[1:]), cc.Conv2D(3, 4), cc.BatchNorm(), cc.ReLU(), cc.FullyConnected(10),
                          cc.BatchNorm(), cc.Softmax()])  # fmt: skip
        options = cc.TrainingOptions("sgdm", max_epochs=2, mini_batch_size=64, verbose=False, n_threads=n_threads)
        history = cc.train(net, (x[:500], y[:500]), options=options)
        assert history.rows[-1]["loss"] < 0.5 * history.rows[0]["loss"]
        assert not np.array_equal(net.layers[2].trained_mean, np.zeros(4))
        runs.append({name: array.tobytes() for name, array in net.arrays().items()})
    assert runs[0] == runs[1] == runs[2]


def test_a_resumed_run_equals_one_without_interruption(tmp_path):
    x, y = cc.data.load("digits").train
    data, shared = (x[:300], y[:300]), {"max_epochs": 3, "mini_batch_size": 64, "verbose": False}

    def make(seed=0):
        return cc.Network([cc.ImageInput(x.shape[1:]), cc.Conv2D(3, 4), cc.BatchNorm(), cc.FullyConnected(10),
                           cc.Softmax()], seed=seed)  # fmt: skip

    def arrays(net):
        return {name: array.tobytes() for name, array in net.arrays().items()}

    whole, half, resumed = make(), make(), make(seed=7)
    cc.train(whole, data, options=cc.TrainingOptions("sgdm", **shared))
    stop = cc.TrainingOptions("sgdm", **shared, checkpoint_path=tmp_path, callbacks=[lambda info: info.iteration == 7])
    cc.train(half, data, options=stop)
    assert arrays(half) != arrays(whole)
    cc.train(resumed, data, options=cc.TrainingOptions("sgdm", **shared), resume=tmp_path)
    assert arrays(resumed) == arrays(whole)


def test_the_gradient_of_the_layer():
    layer = made(cc.BatchNorm(epsilon=0.1, scale=[1, 2, 3]))
    (x,) = batches(3)
    for training in (True, False):
        assert cc.gradcheck(lambda x, training=training: layer.forward(x, training, None), (x,), directions=1)
        with cc.Tape() as tape:
            y = layer.forward(x, training, None)
        tape.backward(y, np.ones_like(y.data))
        assert layer.scale.grad.shape == layer.offset.grad.shape == (3,)


# -------------------------------------------------------------------------------------------------------- printed forms


def test_printed_as_in_the_specification():
    text = """BatchNormalizationLayer with properties:

               Name: ''
        NumChannels: 'auto'

   Hyperparameters
          MeanDecay: 0.1000
      VarianceDecay: 0.1000
            Epsilon: 1.0000e-05

   Learnable Parameters
             Offset: []
              Scale: []

   State Parameters
        TrainedMean: []
    TrainedVariance: []"""
    layer = cc.BatchNorm()
    assert layer.spec_text() == text
    assert layer.description() == "Batch normalization"
    words = " ".join(made(cc.BatchNorm(name="bn"), dtype="float32").spec_text().split())
    for part in ("Name: 'bn'", "NumChannels: 3", "Offset: [1x1x3 single]", "TrainedVariance: [1x1x3 single]"):
        assert part in words
    assert made(cc.BatchNorm()).description() == "Batch normalization with 3 channels"
    assert cc.Network([layer]).spec_text().splitlines()[-1] == "     1   ''   Batch Normalization   Batch normalization"


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (cc.BatchNorm(), "BatchNorm()"),
        (cc.BatchNorm(epsilon=1e-3, mean_decay=0.5, num_channels=np.int64(4), offset_l2_factor=0, name="bn"),
         "BatchNorm(epsilon=0.001, mean_decay=0.5, num_channels=4, offset_l2_factor=0.0, name='bn')"),
        (cc.BatchNorm(scale_initializer="zeros", variance_decay=0),
         "BatchNorm(variance_decay=0.0, scale_initializer='zeros')"),
    ],
)  # fmt: skip
def test_repr_is_python(layer, text):
    assert repr(layer) == text
    assert eval(text, vars(cc)).config() == layer.config()


# --------------------------------------------------------------------------------------------------------- wrong values


@pytest.mark.parametrize(
    ("arguments", "input_shape", "text"),
    [
        ({"num_channels": 4}, (3, 5), "BatchNorm: expects 4 channels, got 3 (inputs (3, 5))"),
        ({"num_channels": 4, "name": "bn"}, (3,), "bn: expects 4 channels, got 3 (inputs (3,))"),
        ({"scale": [1, 2]}, (3, 5), "BatchNorm: expects 2 channels, got 3 (inputs (3, 5))"),
        ({}, (), "BatchNorm: expects (channels, ...), got ()"),
    ],
)
def test_inputs_that_do_not_fit(arguments, input_shape, text):
    for call in (lambda layer: layer.output_shape(input_shape), lambda layer: made(layer, input_shape)):
        with pytest.raises(ValueError) as caught:
            call(cc.BatchNorm(**arguments))
        assert str(caught.value) == text


NAMES = "narrow-normal, zeros, ones"
NUMBERS = "must be float32, float64, integers or booleans, got"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"epsilon": 0}, ValueError, "epsilon must be finite and greater than 0, got 0"),
        ({"epsilon": "a"}, TypeError, "epsilon must be a number, got 'a'"),
        *[({name: value}, error, f"{name} must {text}") for name in ("mean_decay", "variance_decay")
          for value, error, text in [(-0.1, ValueError, "lie in [0, 1], got -0.1"),
                                     (None, TypeError, "be a number, got None")]],
        *[({name: value}, error, f"{name} must be {text}") for name in ("scale_initializer", "offset_initializer")
          for value, error, text in [("glorot", ValueError, f"one of {NAMES} or a function, got 'glorot'"),
                                     (3, TypeError, "a name or a function, got 3")]],
        *[({name: value}, error, f"{name} {text}")
          for name in ("scale", "offset", "trained_mean", "trained_variance") for value, error, text in [
            ("a", TypeError, f"{NUMBERS} dtype <U1"),
            ([1, np.nan], ValueError, "must be finite, got nan"),
            (np.ones((1, 2)), ValueError, "must have shape (channels,), got (1, 2)"),
            (1.0, ValueError, "must have shape (channels,), got ()"),
            ([], ValueError, "must have shape (channels,), got (0,)"),
        ]],
        ({"scale": [1, 2], "offset": [1]}, ValueError, "offset is for 1 channels, others are for 2"),
        ({"trained_mean": [1], "num_channels": 2}, ValueError, "trained_mean is for 1 channels, others are for 2"),
        ({"trained_variance": [1, -2]}, ValueError, "trained_variance must be at least 0, got -2"),
        ({"num_channels": 0}, ValueError, "num_channels must be at least 1, got 0"),
        ({"num_channels": "all"}, TypeError, "num_channels must be an int, got 'all'"),
        *[({f"{role}_{what}_factor": -1}, ValueError, f"{role}_{what}_factor must be finite and at least 0, got -1")
          for role in ("scale", "offset") for what in ("learn_rate", "l2")],
        ({"name": "a.b"}, ValueError, "name must not hold '.' or '/', got 'a.b'"),
    ],
)  # fmt: skip
def test_bad_input(arguments, error, text):
    with pytest.raises(error) as caught:
        cc.BatchNorm(**arguments)
    assert str(caught.value) == f"BatchNorm: {text}"

import pathlib
import sys
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
from numpy.testing import assert_array_equal

import convcore as cc
from convcore.files import read_tensors, write_tensors


def small(seed=0, dtype="float32", **options):
    """1 × 6 × 6 -> conv 2 × 4 × 4 -> pool 2 × 2 × 2 -> 3 classes."""
    layers = [cc.ImageInput((1, 6, 6)), cc.Conv2D(3, 2, **options), cc.ReLU(), cc.MaxPool2D(2), cc.FullyConnected(3),
              cc.Softmax()]  # fmt: skip
    return cc.Network(layers, seed=seed, dtype=dtype)


def images(n=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 1, 6, 6), np.uint8)


def bits(net):
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in net.arrays().items()}


# ------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ([cc.ImageInput((1, 2, 2)), cc.Conv2D(1, 1), cc.ReLU(), cc.FullyConnected(2), cc.Softmax()],
         ["imageinput", "conv", "relu", "fc", "softmax"]),
        ([cc.Conv2D(1, 1), cc.ReLU(), cc.Conv2D(1, 1), cc.ReLU(), cc.MaxPool2D(1), cc.AvgPool2D(1), cc.Dropout()],
         ["conv_1", "relu_1", "conv_2", "relu_2", "maxpool", "avgpool", "dropout"]),
        ([cc.Conv2D(1, 1, name="first"), cc.Conv2D(1, 1), cc.Flatten()], ["first", "conv", "flatten"]),
    ],
)  # fmt: skip
def test_layers_without_a_name_get_one(layers, names):
    given = [layer.name for layer in layers]
    net = cc.Network(layers)
    assert [layer.name for layer in net.layers] == names
    assert [layer.given_name for layer in net.layers] == given


def test_a_name_that_occurs_twice_and_nothing_is_renamed():
    for layers in ([cc.ReLU(name="a"), cc.Flatten(name="a"), cc.ReLU()], [cc.ReLU(), cc.Flatten(name="relu")]):
        given = [layer.name for layer in layers]
        with pytest.raises(ValueError) as caught:
            cc.Network(layers)
        assert str(caught.value) == f"Network: two layers have the name {layers[1].name!r}"
        assert [layer.name for layer in layers] == given


def test_the_list_is_the_networks_own():
    layers = [cc.ReLU()]
    net = cc.Network(layers)
    layers.append(cc.Flatten())
    assert len(net.layers) == 1
    assert len(cc.Network(tuple(layers[1:])).layers) == 1


RELU = cc.ReLU()


@pytest.mark.parametrize(
    ("layers", "options", "error", "text"),
    [
        (None, {}, TypeError, "layers must be a list of layers, got NoneType"),
        (cc.ReLU(), {}, TypeError, "layers must be a list of layers, got ReLU"),
        ("ab", {}, TypeError, "layers must be a list of layers, got str"),
        (iter([cc.ReLU()]), {}, TypeError, "layers must be a list of layers, got list_iterator"),
        ([], {}, ValueError, "layers must hold at least 1 layer, got 0"),
        ([cc.ReLU(), cc.ReLU], {}, TypeError, "layers[1] must be a layer, got type"),
        ([None], {}, TypeError, "layers[0] must be a layer, got NoneType"),
        ([RELU, cc.Flatten(), RELU], {}, ValueError, "the same layer object stands in the list twice"),
        *[([cc.ReLU()], {"seed": seed}, TypeError, f"seed must be an int, got {seed!r}") for seed in (1.5, None, True)],
        ([cc.ReLU()], {"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        *[([cc.ReLU()], {"dtype": dtype}, ValueError, f'dtype must be "float32" or "float64", got {dtype!r}')
          for dtype in ("float16", "int32", "single precision", None, 3, {"a": 1}, ">f4")],
    ],
)  # fmt: skip
def test_bad_arguments(layers, options, error, text):
    with pytest.raises(error) as caught:
        cc.Network(layers, **options)
    assert str(caught.value) == f"Network: {text}"


# -------------------------------------------------------------------------------------------- sizes and first values


def test_sizes_are_inferred_from_the_image_input():
    net = small()
    assert (net.input_shape, net.initialized, net.layers[1].weights) == ((1, 6, 6), False, None)
    assert net.shapes() == [(1, 6, 6), (1, 6, 6), (2, 4, 4), (2, 4, 4), (2, 2, 2), (3,), (3,)]
    assert net.output_shape == (3,)
    assert not net.initialized
    net.initialize()
    assert net.initialized
    sizes = {name: p.shape for name, p in net.parameters().items()}
    assert sizes == {"conv.weights": (2, 1, 3, 3), "conv.bias": (2,), "fc.weights": (3, 8), "fc.bias": (3,)}


@pytest.mark.parametrize("how", ["first data", "predict", "initialize", "Tensor"])
def test_sizes_are_inferred_from_the_first_data(how):
    net = cc.Network([cc.Conv2D(3, 2), cc.FullyConnected(4)])
    x = np.ones((2, 3, 5, 7))
    {"first data": net, "predict": net.predict, "Tensor": lambda x: net(cc.Tensor(x)),
     "initialize": lambda x: net.initialize(x.shape[1:])}[how](x)  # fmt: skip
    assert (net.input_shape, net.output_shape) == ((3, 5, 7), (4,))
    assert net.parameters()["fc.weights"].shape == (4, 2 * 3 * 5)
    assert net.layers[0].num_channels == 3


def test_parameters_come_in_the_order_of_the_layers_with_their_names():
    parameters = cc.lenet5().parameters()
    names = [f"{layer}.{role}" for layer in ("conv1", "conv2", "fc1", "fc2", "fc3") for role in ("weights", "bias")]
    assert list(parameters) == names
    assert [p.name for p in parameters.values()] == names
    assert all(isinstance(p, cc.Parameter) and p.dtype == np.float32 for p in parameters.values())


def test_initialize_again_changes_nothing():
    net = small()
    net.initialize()
    before, parameters = bits(net), net.parameters()
    net.initialize(seed=7)
    net.initialize((1, 6, 6))
    assert net.seed == 0
    assert bits(net) == before
    assert all(a is b for a, b in zip(net.parameters().values(), parameters.values(), strict=True))


def test_same_seed_same_bits():
    assert bits(small(3)) == bits(small(3))
    net = small(0)
    net.initialize(seed=3)
    assert net.seed == 3
    assert bits(net) == bits(small(3))
    assert bits(net)["conv.weights"] != bits(small(0))["conv.weights"]
    single, double = small(3).arrays(), small(3, "float64").arrays()
    assert all(np.array_equal(single[name], double[name].astype("f4")) for name in single)


def test_each_layer_draws_from_a_stream_of_its_own():
    def weights(layers):
        return [p.data for name, p in cc.Network(layers).parameters().items() if name.endswith("weights")]

    shape = (2, 2, 3, 3)
    plain = weights([cc.ImageInput((2, 9, 9)), cc.Conv2D(3, 2), cc.Conv2D(3, 2)])
    assert (plain[0] != plain[1]).all()
    longer = weights([cc.ImageInput((2, 9, 9)), cc.Conv2D(3, 2), cc.Conv2D(3, 2), cc.FullyConnected(2)])
    assert_array_equal(longer[:2], plain)
    for options in ({"weights_initializer": "he"}, {"weights": np.ones(shape)}, {"bias_initializer": "narrow-normal"}):
        other = weights([cc.ImageInput((2, 9, 9)), cc.Conv2D(3, 2, **options), cc.Conv2D(3, 2)])
        assert_array_equal(other[1], plain[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_has_the_networks_dtype(dtype):
    net = small(dtype=dtype, weights=np.ones((2, 1, 3, 3)))
    assert {p.dtype for p in net.parameters().values()} == {np.dtype(dtype)}
    for x in (images(), images().astype(bool), images().astype("f4"), images().astype("f8"), images().tolist(),
              cc.Tensor(images()), cc.Tensor(images().astype("f4")), images().astype(">f4")):  # fmt: skip
        assert net(x).dtype == dtype
        assert net.predict(x).dtype == dtype
    assert_array_equal(net(images()).data, net(images().astype("f8")).data)  # uint8 as it is


def test_dtypes_are_given_by_name_or_type():
    assert cc.Network([cc.ReLU()], dtype=np.float64).dtype == cc.Network([cc.ReLU()], dtype="float64").dtype


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((), ValueError, "the size of the input is not known; call initialize(input_shape) first"),
        (("abc",), TypeError, "input_shape must be a tuple of ints, got 'abc'"),
        ((3,), TypeError, "input_shape must be a tuple of ints, got 3"),
        (((1.0, 2),), TypeError, "input_shape must be a tuple of ints, got (1.0, 2)"),
        (((True,),), TypeError, "input_shape must be a tuple of ints, got (True,)"),
        (((),), ValueError, "input_shape must hold sizes of at least 1, got ()"),
        (((0, 1),), ValueError, "input_shape must hold sizes of at least 1, got (0, 1)"),
        (((1, 6, 6), "a"), TypeError, "seed must be an int, got 'a'"),
        (((1, 6, 6), -1), ValueError, "seed must be at least 0, got -1"),
    ],
)  # fmt: skip
def test_bad_arguments_of_initialize(arguments, error, text):
    net = cc.Network([cc.Conv2D(3, 2)])
    with pytest.raises(error) as caught:
        net.initialize(*arguments)
    assert str(caught.value) == f"Network: {text}"
    net.initialize((1, 6, 6))
    if arguments:
        with pytest.raises(error):
            net.initialize(*arguments)  # checked also when there is nothing left to do


def test_sizes_that_do_not_fit_leave_the_network_as_it_was():
    net = cc.Network([cc.Conv2D(5, 2), cc.MaxPool2D(2)])
    x = np.ones((1, 1, 3, 3))
    for give in (lambda: net.initialize((1, 3, 3)), lambda: net(x), lambda: net.predict(x), lambda: net.classify(x)):
        with pytest.raises(ValueError) as caught:
            give()
        assert str(caught.value) == "conv: conv2d: the filter covers 5 cells in height, the padded input has 3"
        assert (net.input_shape, net.initialized) == (None, False)
    net.initialize((3, 28, 28))
    assert net.output_shape == (2, 12, 12)


def test_an_input_shape_that_is_not_the_image_inputs():
    with pytest.raises(ValueError) as caught:
        small().initialize((1, 7, 6))
    assert str(caught.value) == "Network: input_shape (1, 7, 6) is not the ImageInput's (1, 6, 6)"


def test_parameters_of_unknown_size():
    for ask in (lambda net: net.parameters(), lambda net: net.shapes(), lambda net: net.output_shape):
        with pytest.raises(ValueError) as caught:
            ask(cc.Network([cc.Conv2D(3, 2)]))
        text = "Network: the size of the input is not known; call initialize(input_shape) first"
        assert str(caught.value) == text


# ------------------------------------------------------------------------------------------------------------ forward


def test_forward_is_layer_after_layer():
    net, x = small(dtype="float64"), images().astype(float)
    p = net.parameters()
    y = cc.max_pool2d(cc.relu(cc.conv2d(x, p["conv.weights"], p["conv.bias"])), 2)
    logits = cc.fully_connected(y, p["fc.weights"], p["fc.bias"])
    assert_array_equal(net.forward(x, logits=True).data, logits.data)
    assert_array_equal(net(x).data, cc.softmax(logits).data)
    assert_array_equal(net.predict(x), cc.softmax(logits).data)
    without = cc.Network([cc.Flatten()])
    assert_array_equal(without.forward(x, logits=True).data, without(x).data)


def test_gradients_reach_all_parameters_and_the_input():
    x, target = images().astype(float) / 255, np.array([0, 1, 2, 0, 1])
    net = small(dtype="float64")
    net.fit_normalization(x)
    parameters = net.parameters()

    def loss(x, *values):
        for layer, role, value in zip(("conv", "conv", "fc", "fc"), ("weights", "bias") * 2, values, strict=True):
            net.layers[{"conv": 1, "fc": 4}[layer]].learnables[role] = value
        return cc.cross_entropy(net.forward(x, logits=True), target)

    assert cc.gradcheck(loss, [x, *[p.data for p in parameters.values()]])


def test_a_tape_fills_the_gradients():
    net = small()
    with cc.Tape() as tape:
        loss = cc.cross_entropy(net.forward(images(), logits=True), np.zeros(5, int))
    tape.backward(loss)
    assert all(p.grad.shape == p.shape and p.grad.dtype == np.float32 for p in net.parameters().values())


def test_dropout_drops_only_in_training():
    net = cc.Network([cc.Dropout(0.5)])
    x = np.ones((4, 100))
    assert net.draws_random_numbers
    assert not small().draws_random_numbers
    assert_array_equal(net(x).data, x)
    assert_array_equal(net.predict(x), x)
    one, two = (net(x, training=True, rng=np.random.default_rng(0)).data for _ in range(2))
    assert_array_equal(one, two)
    assert set(np.unique(one)) == {0, 2}
    with pytest.raises(TypeError) as caught:
        net(x, training=True)
    assert str(caught.value) == "dropout: rng must be a numpy.random.Generator while training, got NoneType"


def test_non_finite_layer():
    net = cc.Network([cc.ReLU(name="first"), cc.FullyConnected(1, weights=[[1e38, 1e38]], name="second")])
    assert net.non_finite_layer(np.ones((1, 2))) is None
    assert net.non_finite_layer(np.full((1, 2), 1e30)) == "second"
    assert net.non_finite_layer([[1, np.nan]]) == "first"


ARRAY = "must be float32, float64, integers or booleans, got"
AXES = "x must have a batch axis and at least one more, got"


@pytest.mark.parametrize("op", ["Network", "predict", "classify"])
@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        ("a", TypeError, f"x {ARRAY} dtype <U1"),
        (None, TypeError, f"x {ARRAY} NoneType"),
        (images() * 1j, TypeError, f"x {ARRAY} dtype complex128"),
        (images().astype(object), TypeError, f"x {ARRAY} ndarray"),
        (images().astype(np.float16), TypeError, f"x {ARRAY} dtype float16"),
        ([[1], [1, 2]], TypeError, "x must be an array of numbers, got a ragged list"),
        (3, ValueError, f"{AXES} ()"),
        (np.ones(3), ValueError, f"{AXES} (3,)"),
    ],
)
def test_bad_input(op, x, error, text):
    net = small()
    for _ in range(2):  # once more with sizes known
        with pytest.raises(error) as caught:
            {"Network": net, "predict": net.predict, "classify": net.classify}[op](x)
        assert str(caught.value) == f"{op}: {text}"
        net.initialize()


@pytest.mark.parametrize(("fusion", "names"), [("off", ["softmax", "fc", "maxpool", "relu", "conv"]),
                                               ("on", ["softmax", "fc", "maxpool"])])  # fmt: skip
def test_outputs_on_the_tape_are_named_after_their_layers(fusion, names):
    net = cc.Network([cc.ImageInput((1, 8, 8), normalization="none"), cc.Conv2D(3, 2), cc.ReLU(), cc.MaxPool2D(2),
                      cc.FullyConnected(3), cc.Softmax()])  # fmt: skip
    with cc.fusion(fusion), cc.Tape() as tape:
        loss = net(np.ones((2, 1, 8, 8))).sum()
    steps = list(tape.steps(loss))
    assert [step.output_name for step in steps[1:]] == names
    assert steps[-1].input_names[1:] == ("conv.weights", "conv.bias")
    assert net(np.ones((2, 1, 8, 8))).name is None  # no tape, no names


def test_layers_that_change_the_number_of_observations():
    net = cc.Network([cc.Function(lambda x: x[:1]), cc.FullyConnected(2)])
    with pytest.raises(ValueError) as caught:
        net.predict(np.ones((3, 2)))
    text = "predict: output fc has 1 observations for a batch of 3: a layer has changed their number"
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("shape", "way"),
    [
        ((5, 1, 6, 7), ""),
        ((5, 3, 6, 6), ""),
        ((5, 6, 6), "; the axis of channels is missing: x.reshape(-1, 1, 6, 6)"),
        ((5, 6, 6, 1), "; channels come first: x.transpose(0, 3, 1, 2)"),
        ((5, 36), "; rows of pixels are no images yet: x.reshape(-1, 1, 6, 6)"),
        ((0, 1, 5, 6), ""),
        ((1, 6), ""),
    ],
)
def test_input_of_another_size(shape, way):
    net = small()
    for give in (net, net.predict, net.classify):
        with pytest.raises(ValueError) as caught:
            give(np.ones(shape))
        assert str(caught.value) == f"imageinput: expects images (N, 1, 6, 6), got {shape}{way}"
    x, y = np.ones((6, *shape[1:])), np.zeros(6, int)
    with pytest.raises(ValueError) as caught:
        cc.train(net, (x, y))
    wanted = f"train: data: x must have shape (N, 1, 6, 6), as the network's input, got {x.shape}{way}"
    assert str(caught.value) == wanted


@pytest.mark.parametrize(
    ("input_size", "way"),
    [
        ((28, 28, 1), "; input_size is (channels, height, width): is (1, 28, 28) meant?"),
        ((4, 28, 2), ""),
        ((1, 2, 3), ""),
    ],
)
def test_channels_that_seem_to_come_last(input_size, way):
    net = cc.Network([cc.ImageInput(input_size), cc.Conv2D(5, 2)])
    cells = f"{'width' if input_size[1] >= 5 else 'height'}, the padded input has {min(input_size[1:])}"
    with pytest.raises(ValueError) as caught:
        net.initialize()
    assert str(caught.value) == f"conv: conv2d: the filter covers 5 cells in {cells}{way}"


@pytest.mark.parametrize("training", ["no", None, 1])
def test_training_is_true_or_false(training):
    for give in (small(), small().forward):
        with pytest.raises(TypeError) as caught:
            give(images(), training=training)
        assert str(caught.value) == f"Network: training must be True or False, got {training!r}"


def test_a_tensor_that_requires_a_gradient_is_not_cast():
    with pytest.raises(TypeError) as caught:
        small()(cc.Tensor(images(), requires_grad=True))
    assert str(caught.value) == "Network: x requires grad and is float64, the network is float32"


# ----------------------------------------------------------------------------------------------- predict and classify


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_of_all_sizes_give_the_same_up_to_rounding(dtype):
    net = cc.lenet5(dtype=dtype)
    x = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28), np.uint8)
    net.fit_normalization(x)
    whole = net(x).data
    for batch_size in (1, 2, 3, 4, 7, 16, 39, 40, 41, np.int64(256)):
        # Probabilities: logits below 4 that are sums of 400, 120 and 84 products, rounded at most once each.
        assert abs(net.predict(x, batch_size) - whole).max() <= 4 * 604 * np.finfo(dtype).eps
    assert_array_equal(net.predict(x), whole)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_the_bits_of_a_prediction_do_not_depend_on_the_threads(n_threads):
    net = cc.lenet5()
    x = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28), np.uint8)
    net.fit_normalization(x)
    with cc.num_threads(1):
        expected = net.predict(x, 16)
    with cc.num_threads(n_threads):
        assert_array_equal(net.predict(x, 16), expected)


def test_predict_nothing():
    net = small()
    assert (net.predict(images(0)).shape, net.predict(images(0)).dtype) == ((0, 3), np.float32)
    assert net.classify(images(0)).shape == (0,)


def test_predictions_are_probabilities_and_classes_their_largest():
    y = small().predict(images(9), 4)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)
    classes = small().classify(images(9), batch_size=2)
    assert classes.dtype == np.int64
    assert_array_equal(classes, y.argmax(axis=1))


def test_classify_needs_one_number_per_class():
    with pytest.raises(ValueError) as caught:
        cc.Network([cc.ReLU()]).classify(images(2))
    assert str(caught.value) == "classify: the network's output must have shape (N, classes), got (2, 1, 6, 6)"


@pytest.mark.parametrize("op", ["predict", "classify"])
@pytest.mark.parametrize(
    ("batch_size", "error", "text"),
    [(0, ValueError, "at least 1, got 0"), (-1, ValueError, "at least 1, got -1"), (1.5, TypeError, "an int, got 1.5"),
     (None, TypeError, "an int, got None"), (True, TypeError, "an int, got True")],
)  # fmt: skip
def test_batch_sizes(op, batch_size, error, text):
    with pytest.raises(error) as caught:
        getattr(small(), op)(images(), batch_size)
    assert str(caught.value) == f"{op}: batch_size must be {text}"


# -------------------------------------------------------------------------------------------------------- in print


def test_printed_as_in_the_specification():
    net = cc.Network([cc.ImageInput((1, 28, 28)), cc.Conv2D(5, 20), cc.ReLU(), cc.MaxPool2D(2), cc.FullyConnected(10),
                      cc.Softmax()])  # fmt: skip
    expected = (
        "6x1 Layer array with layers: 1 '' Image Input 28x28x1 images with 'zerocenter' normalization "
        "2 '' 2D Convolution 20 5x5 convolutions with stride [1 1] and padding [0 0 0 0] 3 '' ReLU ReLU "
        "4 '' 2D Max Pooling 2x2 max pooling with stride [2 2] and padding [0 0 0 0] "
        "5 '' Fully Connected 10 fully connected layer 6 '' Softmax softmax"
    )
    assert " ".join(net.spec_text().split()) == expected
    net.initialize()
    assert "20 5x5x1 convolutions" in net.spec_text()


def test_repr_is_python():
    net = small(seed=4, dtype="float64", stride=2, padding="same", weight_learn_rate_factor=2)
    text = """Network([
    ImageInput((1, 6, 6), name='imageinput'),
    Conv2D((3, 3), 2, stride=(2, 2), padding='same', weight_learn_rate_factor=2.0, name='conv'),
    ReLU(name='relu'),
    MaxPool2D((2, 2), stride=(2, 2), name='maxpool'),
    FullyConnected(3, name='fc'),
    Softmax(name='softmax'),
], seed=4, dtype='float64')"""
    assert repr(net) == text
    assert bits(eval(text, vars(cc))) == bits(net)


# -------------------------------------------------------------------------------------------------- saving and loading


def drawn(size, rng):
    return rng.random(size)


def halves(size):
    return np.full(size, 0.5)


def inverted(x):
    return cc.subtract(255, x)


def names_of(*functions):
    return {f"{f.__module__}:{f.__name__}": f for f in functions}


def everything():
    return cc.Network([
        cc.ImageInput((2, 8, 8), normalization="zscore", name="in"),
        cc.Conv2D((3, 2), 4, stride=(1, 2), dilation_factor=(2, 1), padding=(1, 0, 2, 1), padding_value=0.5,
                  weights_initializer=drawn, bias_initializer=halves, weight_learn_rate_factor=0,
                  bias_learn_rate_factor=2, weight_l2_factor=0.25, bias_l2_factor=3, name="conv"),
        cc.ReLU(), cc.AvgPool2D(2, stride=1, padding="same"), cc.Dropout(0.25), cc.Flatten(),
        cc.FullyConnected(5, weights=np.arange(500.0).reshape(5, 100) / 500, bias=np.arange(5)),
        cc.FullyConnected(3, weights_initializer="he"), cc.Softmax(),
    ], seed=6, dtype="float64")  # fmt: skip


def test_what_is_saved_is_loaded(tmp_path):
    net = everything()
    x = np.random.default_rng(0).integers(0, 256, (9, 2, 8, 8), np.uint8)
    net.fit_normalization(x)
    net.initialize()
    net.parameters()["conv.bias"].assign([1, 2, 3, 4])
    net.parameters()["fc_1.weights"].l2_factor = 5
    net.layers[1].bias_l2_factor = 4
    net.save(tmp_path / "net.safetensors")
    again = cc.load(str(tmp_path / "net.safetensors"), functions=names_of(drawn, halves))
    assert repr(again) == repr(net)
    assert again.architecture() == net.architecture()
    assert bits(again) == bits(net)
    assert (again.seed, again.dtype, again.input_shape, again.initialized) == (6, np.float64, (2, 8, 8), True)
    assert list(again.states()) == ["in.mean", "in.std"]
    for name, p in net.parameters().items():
        other = again.parameters()[name]
        assert (other.learn_rate_factor, other.l2_factor, other.name) == (p.learn_rate_factor, p.l2_factor, name)
    conv = again.parameters()["conv.weights"], again.parameters()["conv.bias"]
    assert [(p.learn_rate_factor, p.l2_factor) for p in conv] == [(0, 0.25), (2, 4)]
    assert again.parameters()["fc_1.weights"].l2_factor == 5
    assert_array_equal(again.predict(x), net.predict(x))
    assert again.layers[1].weights_initializer is drawn
    assert again.layers[1].spec_text() == net.layers[1].spec_text()
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "net.safetensors").read_bytes()


def test_networks_that_never_saw_data(tmp_path):
    net = small(seed=2)
    net.save(tmp_path / "net")  # initializes
    again = cc.load(tmp_path / "net")
    assert bits(again) == bits(net) == bits(small(seed=2))
    assert again.layers[1].num_channels == net.layers[1].num_channels == 1
    assert again.states() == {}
    again.fit_normalization(images())
    assert list(again.states()) == ["imageinput.mean"]
    net = cc.Network([cc.Conv2D(3, 2)])
    with pytest.raises(ValueError) as caught:
        net.save(tmp_path / "unknown")
    assert str(caught.value) == "Network: the size of the input is not known; call initialize(input_shape) first"
    net(np.ones((1, 2, 4, 4)))
    net.save(tmp_path / "known")
    assert cc.load(tmp_path / "known").input_shape == (2, 4, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known", "net"]


def test_class_names_are_kept(tmp_path):
    net = small()
    net.class_names = ("cat", "dog", "fish")
    net.save(tmp_path / "net")
    assert cc.load(tmp_path / "net").class_names == ("cat", "dog", "fish")


def test_functions_are_saved_by_name_and_passed_in(tmp_path):
    net = cc.Network([cc.ImageInput((1, 2, 2), normalization=inverted)])
    net.save(tmp_path / "net")
    functions = names_of(inverted)
    (name,) = functions
    assert_array_equal(cc.load(tmp_path / "net", functions=functions).predict(np.ones((1, 1, 2, 2))),
                       np.full((1, 1, 2, 2), 254))  # fmt: skip
    for given in (None, {}, {"other:f": inverted}):
        with pytest.raises(ValueError) as caught:
            cc.load(tmp_path / "net", functions=given)
        assert str(caught.value) == (
            f"load: {tmp_path / 'net'}: normalization is the function {name}; pass it in: functions={{{name!r}: ...}}"
        )


class Callable:
    def __call__(self, size):
        return np.ones(size)

    def method(self, size):
        return np.ones(size)


def factory():
    def inner(size):
        return np.ones(size)

    return inner


@pytest.mark.parametrize("function", [lambda size: np.ones(size), factory(), Callable(), Callable().method],
                         ids=["lambda", "inner function", "object", "method"])  # fmt: skip
@pytest.mark.parametrize("role", ["weights", "bias"])
def test_functions_without_a_name_of_their_own_are_an_error_on_saving(function, role, tmp_path):
    with pytest.raises(ValueError) as caught:
        small(**{f"{role}_initializer": function}).save(tmp_path / "net")
    assert str(caught.value) == (
        f"save: conv: {role}_initializer must be a function at the top level of a module to be saved, got {function!r}"
    )
    assert list(tmp_path.iterdir()) == []


def test_saving_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    net = small(1)
    net.save(path)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("no space left")

    for function in ("os.replace", "os.fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(f"convcore.files.{function}", fail)
            with pytest.raises(OSError, match="no space left"):
                small(2).save(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]
    small(2).save(path)
    assert bits(cc.load(path)) == bits(small(2))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        (None, TypeError, "path must be a str or a path, got NoneType"),
        (3, TypeError, "path must be a str or a path, got int"),
        (b"net", TypeError, "path must be a str or a path, got bytes"),
    ],
)
def test_bad_paths(path, error, text):
    for op, function in (("save", small().save), ("load", cc.load)):
        with pytest.raises(error) as caught:
            function(path)
        assert str(caught.value) == f"{op}: {text}"


def test_folders_and_files_that_are_not_there(tmp_path):
    cases = [
        (small().save, tmp_path / "none" / "net", FileNotFoundError, f"save: there is no folder {tmp_path / 'none'}"),
        (small().save, tmp_path, IsADirectoryError, f"save: {tmp_path} is a folder"),
        (cc.load, tmp_path / "net", FileNotFoundError, f"load: there is no file {tmp_path / 'net'}"),
        (cc.load, tmp_path, FileNotFoundError, f"load: there is no file {tmp_path}"),
    ]
    for function, path, error, text in cases:
        with pytest.raises(error) as caught:
            function(path)
        assert str(caught.value) == text
    assert list(tmp_path.iterdir()) == []


def test_functions_must_be_a_dict(tmp_path):
    small().save(tmp_path / "net")
    with pytest.raises(TypeError) as caught:
        cc.load(tmp_path / "net", functions=[halves])
    assert str(caught.value) == "load: functions must be a dict of functions by name, got list"


# ------------------------------------------------------------------------------------------------------ damaged files


def check_damaged(path, text=None):
    """Loading raises a ValueError that names the file, and allocates next to nothing."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            cc.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"load: {path}")
    assert "\n" not in str(caught.value)
    if text is not None:
        assert str(caught.value) == f"load: {path}{text}"


def first(network):
    return network["layers"][0]


def conv(network):
    return network["layers"][1]


DAMAGE = {
    "unknown type": (lambda n: conv(n).update(type="Conv9D"), "unknown layer type 'Conv9D'"),
    "type that is no layer": (lambda n: conv(n).update(type="Parameter"), "unknown layer type 'Parameter'"),
    "type that is no word": (lambda n: conv(n).update(type=["Conv2D"]), "unknown layer type ['Conv2D']"),
    "no type": (lambda n: conv(n).pop("type"), "not a network that convcore can read (it lacks 'type')"),
    "huge": (lambda n: conv(n).update(num_filters=10**12),
             "conv.weights must have shape (1000000000000, 1, 3, 3), got (2, 1, 3, 3)"),
    "huge outputs": (lambda n: n["layers"][4].update(output_size=10**15),
                     "fc.weights must have shape (1000000000000000, 8), got (3, 8)"),
    "huge input": (lambda n: n.update(input_shape=[1, 99999, 99999]) or first(n).update(input_size=[1, 99999, 99999]),
                   "maxpool: max_pool2d: a plane must have fewer than 2**31 cells, x has 9999400009 "
                   "(x (1, 2, 99997, 99997))"),
    "huge filter": (lambda n: conv(n).update(filter_size=[2**40, 1]),
                    "Conv2D: filter_size must be at most 2**31, got [1099511627776, 1]"),
    "float": (lambda n: conv(n).update(num_filters=2.0),
              "not a network that convcore can read (Conv2D: num_filters must be an int, got 2.0)"),
    "stride": (lambda n: conv(n).update(stride=[0, 1]), "Conv2D: stride must be at least 1, got [0, 1]"),
    "channels": (lambda n: conv(n).update(num_channels=7), "conv: expects 7 channels, got 1 (inputs (1, 6, 6))"),
    "factor": (lambda n: conv(n).update(bias_l2_factor=-1),
               "Conv2D: bias_l2_factor must be finite and at least 0, got -1"),
    "initializer": (lambda n: conv(n).update(weights_initializer="os.system"),
                    "Conv2D: weights_initializer must be one of glorot, he, narrow-normal, zeros, ones or a function, "
                    "got 'os.system'"),
    "function": (lambda n: conv(n).update(weights_initializer={"function": "antigravity:geohash"}),
                 "weights_initializer is the function antigravity:geohash; pass it in: "
                 "functions={'antigravity:geohash': ...}"),
    "no function": (lambda n: conv(n).update(weights_initializer={"code": "1"}),
                    "not a network that convcore can read (it lacks 'function')"),
    "unknown property": (lambda n: conv(n).update(colour=1), "not a network that convcore can read "
                         "(Conv2D.__init__() got an unexpected keyword argument 'colour')"),
    "no filter size": (lambda n: conv(n).pop("filter_size"), "not a network that convcore can read "
                       "(Conv2D.__init__() missing 1 required positional argument: 'filter_size')"),
    "name": (lambda n: conv(n).update(name="fc"), "Network: two layers have the name 'fc'"),
    "renamed": (lambda n: conv(n).update(name="other"), "no array other.weights"),
    "input": (lambda n: n.update(input_shape=[1, 7, 7]), "imageinput: expects images (N, 1, 6, 6), got (1, 1, 7, 7)"),
    "input of words": (lambda n: n.update(input_shape=["1"]),
                       "not a network that convcore can read "
                       "(Network: input_shape must be a tuple of ints, got ['1'])"),
    "dtype": (lambda n: n.update(dtype="int8"), "Network: dtype must be \"float32\" or \"float64\", got 'int8'"),
    "seed": (lambda n: n.update(seed=-1), "Network: seed must be at least 0, got -1"),
    "no seed": (lambda n: n.pop("seed"), "not a network that convcore can read (it lacks 'seed')"),
    "no layers": (lambda n: n.pop("layers"), "not a network that convcore can read (it lacks 'layers')"),
    "empty": (lambda n: n.update(layers=[]), "Network: layers must hold at least 1 layer, got 0"),
    "layers of words": (lambda n: n.update(layers=["Conv2D"]),
                        "a layer must be a dict of its properties, got 'Conv2D'"),
    "layers as number": (lambda n: n.update(layers=3),
                         "not a network that convcore can read ('int' object is not iterable)"),
    "format": (lambda n: n.update(format="convcore network 9"), "not a network of the format 'convcore network 2'"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_architectures(name, tmp_path):
    change, text = DAMAGE[name]
    path = tmp_path / "net.safetensors"
    small().save(path)
    arrays, metadata = read_tensors(path, "test")
    change(metadata["network"])
    write_tensors(path, arrays, metadata)
    modules = set(sys.modules)
    check_damaged(path, f": {text}")
    assert set(sys.modules) == modules  # loading imports nothing


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a: a.pop("conv.weights"), "no array conv.weights"),
        (lambda a: a.pop("fc.bias"), "no array fc.bias"),
        (lambda a: a.pop("imageinput.std"), "no array imageinput.std"),
        (lambda a: a.update({"conv.extra": np.ones(1)}), "an unknown array conv.extra"),
        (lambda a: a.update({"relu.x": np.ones(1)}), "an unknown array relu.x"),
        (lambda a: a.update(other=np.ones(1)), "an unknown array other"),
        (lambda a: a.update({"conv.bias": np.ones(3)}), "conv.bias must have shape (2,), got (3,)"),
        (lambda a: a.update({"conv.bias": np.ones(2, int)}), "conv.bias must hold float32 or float64, got int64"),
        (lambda a: a.update({"fc.weights": a["fc.weights"].T}), "fc.weights must have shape (3, 8), got (8, 3)"),
        (lambda a: a.update({"imageinput.mean": np.ones((2, 1, 1))}),
         "imageinput.mean must have shape (1, 1, 1), got (2, 1, 1)"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(change, text, tmp_path):
    def net(seed):
        layers = [cc.ImageInput((1, 6, 6), normalization="zscore"), cc.Conv2D(3, 2), cc.ReLU(), cc.MaxPool2D(2)]
        made = cc.Network([*layers, cc.FullyConnected(3), cc.Softmax()], seed=seed)
        made.fit_normalization(images())
        return made

    net(0).save(tmp_path / "net")
    arrays, metadata = read_tensors(tmp_path / "net", "test")
    change(arrays)
    write_tensors(tmp_path / "net", arrays, metadata)
    check_damaged(tmp_path / "net", f": {text}")
    other = net(1)
    before = bits(other)
    with pytest.raises(ValueError) as caught:
        other.load_arrays(arrays)
    assert str(caught.value) == f"load_arrays: {text}"
    assert bits(other) == before  # nothing is changed if anything does not fit


def test_load_arrays():
    net, other = small(1), small(2)
    other.fit_normalization(images())
    parameters = net.parameters()
    net.load_arrays(other.arrays())
    assert bits(net) == bits(other)
    assert net.parameters()["fc.bias"] is parameters["fc.bias"]  # an optimizer still holds the same ones
    assert parameters["fc.bias"].version == 1
    fresh = small(3, "float64")
    fresh.load_arrays(other.arrays())
    assert fresh.initialized
    assert fresh.parameters()["conv.weights"].dtype == np.float64
    for arrays in (None, [np.ones(1)], {"conv.weights": [1]}):
        with pytest.raises(TypeError) as caught:
            net.load_arrays(arrays)
        assert str(caught.value) == "load_arrays: arrays must be a dict of NumPy arrays by name"
    with pytest.raises(ValueError) as caught:
        cc.Network([cc.Conv2D(3, 2)]).load_arrays({})
    text = "load_arrays: Network: the size of the input is not known; call initialize(input_shape) first"
    assert str(caught.value) == text


def test_files_of_others(tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.numpy.save_file({"conv.weights": np.ones(3)}, path)
    check_damaged(path, " is a safetensors file, but not one that convcore wrote")
    write_tensors(path, {}, {"checkpoint": {}})
    check_damaged(path, " is a checkpoint: cc.load_checkpoint or convcore train --resume reads it")
    write_tensors(path, {}, {"network": [1]})
    check_damaged(path, ": not a network of the format 'convcore network 2'")
    safetensors.numpy.save_file({}, path, metadata={"convcore": "0 [1]"})
    check_damaged(path, " holds metadata that convcore did not write")


def test_files_cut_short(tmp_path):
    path = tmp_path / "net.safetensors"
    small().save(path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for length in {0, 1, 7, 8, 9, header // 2, header - 1, header, header + 1, len(content) - 4, len(content) - 1}:
        path.write_bytes(content[:length])
        check_damaged(path)
        with pytest.raises(ValueError, match="is damaged or no safetensors file"):
            cc.load(path)
    path.write_bytes(content + b"\0")
    check_damaged(path)


def test_flipped_bits_in_the_header_give_an_error_or_a_network_never_anything_else(tmp_path):
    path = tmp_path / "net.safetensors"
    net = small()
    net.save(path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    rng = np.random.default_rng(0)
    refused = []
    for position in [*range(8), *rng.integers(8, header, 300)]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = cc.load(path)
        except ValueError as error:
            refused.append(str(error))
        else:
            assert isinstance(found, cc.Network)  # another digit in a factor, another letter in a name
            assert {p.shape for p in found.parameters().values()} == {p.shape for p in net.parameters().values()}
    assert len(refused) > 200
    assert all(text.startswith(f"load: {path}") and "\n" not in text for text in refused)


def test_other_kinds_of_files(tmp_path):
    path = tmp_path / "net"
    for content in (b"PK\x03\x04 zip", b"\x80\x04 pickle", b"{}", b"\xff" * 64, (2**62).to_bytes(8, "little") + b"{}"):
        path.write_bytes(content)
        check_damaged(path)


# ---------------------------------------------------------------------------------------------------------- end to end


def test_a_loop_written_by_hand_learns_the_digits():
    """Functions, a tape, and stochastic gradient descent in NumPy: no layers, no trainer."""
    digits = cc.data.load("digits")
    x, labels = digits.train.x / np.float32(255), digits.train.y
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 1, 5, 5), "b1": (8,), "w2": (10, 8 * 6 * 6), "b2": (10,)}
    scales = {"w1": 0.2, "w2": 0.06}
    p = {
        name: cc.Parameter((scales.get(name, 0) * rng.standard_normal(shape)).astype("f4"), name=name)
        for name, shape in shapes.items()
    }

    def logits(x):
        y = cc.max_pool2d(cc.relu(cc.conv2d(x, p["w1"], p["b1"], stride=2)), 2)
        return cc.fully_connected(y, p["w2"], p["b2"])

    losses = []
    for _ in range(3):
        order = rng.permutation(len(x))
        for batch in np.array_split(order, len(x) // 32):
            with cc.num_threads(1), cc.Tape() as tape:
                loss = cc.cross_entropy(logits(x[batch]), labels[batch])
            tape.backward(loss)
            losses.append(float(loss))
            for parameter in p.values():
                parameter.assign(parameter.data - np.float32(0.3) * parameter.grad)
                parameter.grad = None
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 4
    right = logits(digits.test.x / np.float32(255)).data.argmax(axis=1) == digits.test.y
    assert right.mean() > 0.9


def test_the_package_holds_no_pickle():
    source = pathlib.Path(cc.__file__).parent
    for path in source.rglob("*.py"):
        assert "import pickle" not in path.read_text(encoding="utf-8"), path


def test_what_a_network_takes_and_gives():
    net = cc.Network([cc.Conv2D(3, 2), cc.ReLU()])
    assert net.takes((1, 9, 9))  # nothing is known yet
    net.initialize((1, 8, 8))
    assert net.takes((1, 8, 8))
    assert [form.observation for form in net.output_forms()] == [(2, 6, 6)]
    for shape in ((1, 9, 9), (3, 8, 8), (8, 8), (1, 8, 0), "188"):
        assert not net.takes(shape)
        with pytest.raises((TypeError, ValueError)):
            net.output_forms(shape)
    net = cc.Network([cc.SequenceInput(3), cc.FullyConnected(2)])
    (form,) = net.output_forms((3, 7))
    assert (form.shape, form.format) == ((1, 2, 7), "BCT")

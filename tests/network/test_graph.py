"""Networks that are graphs: connections, order, several inputs and outputs, files."""

import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import convcore as cc
from convcore.files import read_tensors, write_tensors


def residual(dtype="float64", **options):
    """A convolution with a way around it, then 3 classes; the layers are given last to first."""
    return cc.Network.from_graph(
        {
            "softmax": cc.Softmax(), "fc": cc.FullyConnected(3), "add": cc.Addition(), "relu": cc.ReLU(),
            "conv2": cc.Conv2D(3, 2, padding="same"), "conv1": cc.Conv2D(3, 2), "in": cc.ImageInput((1, 6, 6)),
        },
        [("in", "conv1"), ("conv1", "relu"), ("relu", "conv2"), ("conv2", "add"), ("conv1", "add"), ("add", "fc"),
         ("fc", "softmax")], dtype=dtype, **options,
    )  # fmt: skip


def two_and_two(dtype="float64"):
    """Images and vectors in; classes and a number out."""
    return cc.Network.from_graph(
        {
            "number": cc.FullyConnected(1), "image": cc.ImageInput((1, 4, 4), normalization="zerocenter"),
            "flat": cc.Flatten(), "join": cc.Concatenation(), "classes": cc.FullyConnected(3), "softmax": cc.Softmax(),
        },
        [("image", "flat"), ("flat", "join/in1"), ("vector", "join/in2"), ("join", "classes"), ("classes", "softmax"),
         ("join", "number")], dtype=dtype,
    )  # fmt: skip


def images(n=5, size=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 1, size, size))


def vectors(n=5, seed=1):
    return np.random.default_rng(seed).standard_normal((n, 2))


# ---------------------------------------------------------------------------------------------- what is computed


def test_the_order_is_that_of_the_data():
    net = residual()
    assert [layer.name for layer in net.layers] == ["in", "conv1", "relu", "conv2", "add", "fc", "softmax"]
    assert [layer.given_name for layer in net.layers] == [layer.name for layer in net.layers]
    assert (net.input_names, net.output_names, net.output_layer.name) == (("in",), ("softmax",), "softmax")
    names = [f"{layer}.{role}" for layer in ("conv1", "conv2", "fc") for role in ("weights", "bias")]
    assert list(net.parameters()) == names
    assert net.shapes()[4] == ((2, 4, 4), (2, 4, 4))
    assert (net.input_shape, net.output_shape) == ((1, 6, 6), (3,))


def test_a_skip_connection_by_hand():
    net, x = residual(), images()
    p = net.parameters()
    one = cc.conv2d(x, p["conv1.weights"], p["conv1.bias"])
    two = cc.conv2d(cc.relu(one), p["conv2.weights"], p["conv2.bias"], padding="same")
    logits = cc.fully_connected(cc.add(two, one), p["fc.weights"], p["fc.bias"])
    assert_array_equal(net.forward(x, logits=True).data, logits.data)
    assert_array_equal(net(x).data, cc.softmax(logits).data)
    assert_array_equal(net.predict(x, batch_size=2), cc.softmax(logits).data)
    assert_array_equal(net.classify(x), logits.data.argmax(1))
    assert net.ends_in_softmax
    assert net.predict(x[:0]).shape == (0, 3)
    assert net.classify(x[:0]).shape == (0,)


def test_gradients_of_a_residual_network():
    net, x, target = residual(), images() + 0.1, np.array([0, 1, 2, 0, 1])
    layers = {layer.name: layer for layer in net.layers}
    parameters = net.parameters()

    def loss(x, *values):
        for name, value in zip(parameters, values, strict=True):
            layer, role = name.split(".")
            layers[layer].learnables[role] = value
        return cc.cross_entropy(net.forward(x, logits=True), target)

    assert cc.gradcheck(loss, [x, *[p.data for p in parameters.values()]])


def test_a_list_is_a_chain():
    layers = {"conv": cc.Conv2D(3, 2), "relu": cc.ReLU(), "fc": cc.FullyConnected(3)}
    net = cc.Network.from_graph(layers, [("conv", "relu"), ("relu", "fc"), ("in", "conv")], seed=3)
    plain = cc.Network([cc.Conv2D(3, 2), cc.ReLU(), cc.FullyConnected(3)], seed=3)
    assert plain.connections == [("in", "conv"), ("conv", "relu"), ("relu", "fc")]
    assert (plain.input_names, plain.output_names) == (("in",), ("fc",))
    x = images()
    assert_array_equal(net.predict(x), plain.predict(x))
    named = cc.Network([cc.ReLU(name="in"), cc.Flatten()])
    assert (named.input_names, named.connections) == (("in_",), [("in_", "in"), ("in", "flatten")])
    assert eval(repr(named), vars(cc)).connections == named.connections


def test_inputs_come_in_the_order_of_the_connections_or_by_name():
    x = np.array([[1.0, 2.0]])

    def joined(*connections):
        layers = {"join": cc.Concatenation(), "two": cc.Function(double), "neg": cc.Function(minus)}
        return cc.Network.from_graph(layers, [("x", "two"), ("x", "neg"), *connections])(x).data.tolist()

    assert joined(("two", "join"), ("neg", "join")) == [[2, 4, -1, -2]]
    assert joined(("neg", "join"), ("two", "join")) == [[-1, -2, 2, 4]]
    assert joined(("two", "join/in2"), ("neg", "join/in1")) == [[-1, -2, 2, 4]]
    assert joined(("two/out", "join/in1"), ("neg/out", "join/in2")) == [[2, 4, -1, -2]]
    same = cc.Network.from_graph({"add": cc.Addition()}, [("x", "add/in1"), ("x", "add/in2")])
    assert same(x).data.tolist() == [[2, 4]]


def double(x):
    return cc.multiply(x, 2)


def minus(x):
    return cc.negative(x)


def test_two_inputs_and_two_outputs():
    net, x, v = two_and_two(), images(size=4), vectors()
    assert (net.input_names, net.output_names, net.output_layer) == (("image", "vector"), ("number", "softmax"), None)
    assert (net.input_shape, net.input_format) == ({"image": (1, 4, 4), "vector": None}, dict(image=None, vector=None))
    number, classes = net((x, v))
    assert (number.shape, classes.shape) == ((5, 1), (5, 3))
    assert net.input_shape == {"image": (1, 4, 4), "vector": (2,)}
    assert net.output_shape == ((1,), (3,))
    p = net.parameters()
    joined = np.concatenate([x.reshape(5, 16), v], 1)
    logits = cc.fully_connected(joined, p["classes.weights"], p["classes.bias"])
    assert_array_equal(net.forward([x, v], logits=True)[1].data, logits.data)
    assert_array_equal(classes.data, cc.softmax(logits).data)
    assert not net.ends_in_softmax  # it has no single output
    for given in ((x, v), [x, v], {"vector": v, "image": x}, (cc.Tensor(x), v.tolist())):
        for y, expected in zip(net.predict(given, batch_size=2), (number, classes), strict=True):
            assert_array_equal(y, expected.data)
    assert [y.shape for y in net.predict((x[:0], v[:0]))] == [(0, 1), (0, 3)]
    net.fit_normalization((x, v))
    assert_array_equal(net.states()["image.mean"].ravel(), x.mean(keepdims=True).ravel())
    assert cc.gradcheck(lambda x, v: net((x, v))[1], [x, v])


def test_formats_of_several_inputs():
    net, x, v = two_and_two(), images(size=4), vectors()
    number, classes = net((x, v))
    turned = (cc.Tensor(x.transpose(2, 3, 1, 0), format="SSCB"), cc.Tensor(v.T, format="CB"))
    with pytest.raises(ValueError) as caught:
        net((turned[0], v))
    assert str(caught.value) == (
        'join: the inputs of Concatenation must have formats of the same letters, got "BC" and none'
    )
    for outputs in (net(turned), [cc.Tensor(y, format="CB") for y in net.predict(turned, 3)]):
        for y, expected in zip(outputs, (number, classes), strict=True):
            assert y.format == "CB"
            assert_array_equal(y.data, expected.data.T)


def test_sizes_of_several_inputs_may_be_given():
    for shapes in ([(1, 4, 4), (2,)], {"vector": (2,), "image": (1, 4, 4)}):
        net = two_and_two()
        net.initialize(shapes)
        assert net.parameters()["number.weights"].shape == (1, 18)
    net = two_and_two()
    net.initialize([(4, 4, 1), (2,)], format=["SSCB", "CB"])
    assert net.input_shape == {"image": (1, 4, 4), "vector": (2,)}
    assert net.input_format == {"image": "BCSS", "vector": "BC"}


def test_logits_where_the_probabilities_are_used_elsewhere():
    net = cc.Network.from_graph(
        {"fc": cc.FullyConnected(3), "softmax": cc.Softmax(), "out": cc.ClassificationOutput(),
         "two": cc.Function(double)},
        [("in", "fc"), ("fc", "softmax"), ("softmax", "out"), ("softmax", "two")], dtype="float64",
    )  # fmt: skip
    x = vectors()
    whole, twice = net(x)
    logits, again = net.forward(x, logits=True)
    assert_array_equal(again.data, twice.data)
    assert_array_equal(cc.softmax(logits).data, whole.data)


def test_values_are_let_go_when_nobody_needs_them():
    alive = []

    class Watch(cc.Layer):
        def forward(self, x, training, rng):
            y = cc.add(x, 1)
            alive.append(weakref.ref(y))
            return y

    class Count(cc.Layer):
        def forward(self, x, training, rng):
            self.found = sum(ref() is not None for ref in alive)
            return x

    net = cc.Network([Watch(), Watch(), Watch(), Watch(), Count()])
    net.initialize((2,))
    net(np.ones((1, 2)))
    assert net.layers[-1].found == 1


def test_the_layer_that_is_not_finite():
    net = residual(dtype="float32")
    net.parameters()["conv2.bias"].assign([np.inf, 0])
    assert net.non_finite_layer(images()) == "conv2"
    assert residual().non_finite_layer(images()) is None


# -------------------------------------------------------------------------------------------------------- errors


def graph(connections, **layers):
    return cc.Network.from_graph({name: make() for name, make in layers.items()}, connections)


R, A = cc.ReLU, cc.Addition


@pytest.mark.parametrize(
    ("connections", "layers", "text"),
    [
        ([("x", "a"), ("a", "b"), ("d", "b"), ("b", "c"), ("c", "d")], dict(a=R, b=A, c=R, d=R),
         "the connections run in a circle: b -> c -> d -> b"),
        ([("a", "a")], dict(a=R), "the connections run in a circle: a -> a"),
        ([("b", "a"), ("a", "b"), ("x", "c")], dict(a=R, b=R, c=R), "the connections run in a circle: a -> b -> a"),
        ([("x", "a"), ("a", "c")], dict(a=R, b=R, c=R), "nothing is connected to 'b'"),
        ([], dict(a=R), "nothing is connected to 'a'"),
        ([("x", "a")], dict(a=A), "'a' takes 2 inputs, 1 is connected: x"),
        ([("x", "a"), ("y", "a"), ("z", "a")], dict(a=A), "'a' takes 2 inputs, 3 are connected: x, y, z"),
        ([("x", "a"), ("y", "a")], dict(a=R), "'a' takes 1 input, 2 are connected: x, y"),
        ([("x", "a/in1")], dict(a=A), "nothing is connected to 'a/in2'"),
        ([("x", "a/in1"), ("y", "a")], dict(a=A),
         "the inputs of 'a' must be connected either all by name, such as 'a/in1', or none"),
        ([("x", "a/in3"), ("y", "a/in1")], dict(a=A), "'a' has no input 'in3'; it has in1, in2"),
        ([("x", "a/in1"), ("y", "a/in1")], dict(a=A), "the input 'a/in1' is connected twice, to 'x' and 'y'"),
        ([("x", "a"), ("x", "a")], dict(a=A), "the connection ('x', 'a') comes twice"),
        ([("x", "a"), ("a", "bb")], dict(a=R),
         "the connection ('a', 'bb') goes to 'bb', and there is no such layer"),
        ([("x", "a"), ("a/out2", "b")], dict(a=R, b=R),
         "the connection ('a/out2', 'b') comes from 'a/out2', and there is no such output"),
        ([("x/out", "a")], dict(a=R), "the connection ('x/out', 'a') comes from 'x/out', and there is no such output"),
        ([("x", "i"), ("i", "a")], dict(i=lambda: cc.ImageInput((1, 2, 2)), a=R),
         "'i' takes the network's input; nothing can be connected to it, 'x' is"),
        ([("x", "a")], dict(i=lambda: cc.ImageInput((1, 2, 2)), a=R),
         "no layer takes the output of the input layer 'i'"),
    ],
)  # fmt: skip
def test_connections_that_cannot_be(connections, layers, text):
    with pytest.raises(ValueError) as caught:
        graph(connections, **layers)
    assert str(caught.value) == f"Network: {text}"


NAMED = cc.ReLU(name="other")


@pytest.mark.parametrize(
    ("layers", "connections", "error", "text"),
    [
        ([cc.ReLU()], [], TypeError, "layers must be a dict of layers by name, got list"),
        ({}, [], ValueError, "layers must hold at least 1 layer, got 0"),
        ({"a": 3}, [], TypeError, "layers['a'] must be a layer, got int"),
        ({"a": NAMED, "b": NAMED}, [], ValueError, "the same layer object stands in the list twice"),
        ({"a": NAMED}, [], ValueError, "the layer 'a' has the name 'other' already"),
        ({"a.b": cc.ReLU()}, [], ValueError, "a name must be a str without '.' and '/', got 'a.b'"),
        ({"": cc.ReLU()}, [], ValueError, "a name must be a str without '.' and '/', got ''"),
        ({3: cc.ReLU()}, [], ValueError, "a name must be a str without '.' and '/', got 3"),
        ({"a": cc.ReLU()}, "x", TypeError, "connections must be a list of (source, destination), got 'x'"),
        ({"a": cc.ReLU()}, [("x",)], TypeError, "connections[0] must be a pair of names, got ('x',)"),
        ({"a": cc.ReLU()}, [("x", "a"), 3], TypeError, "connections[1] must be a pair of names, got 3"),
        ({"a": cc.ReLU()}, [("x", 1)], TypeError, "connections[0] must be a pair of names, got ('x', 1)"),
    ],
)
def test_bad_arguments(layers, connections, error, text):
    names = [getattr(layer, "name", None) for layer in layers] if isinstance(layers, list) else None
    with pytest.raises(error) as caught:
        cc.Network.from_graph(layers, connections)
    assert str(caught.value) == f"Network: {text}"
    assert names in (None, [""])


def test_nothing_is_renamed_if_anything_is_wrong():
    layer = cc.ReLU()
    with pytest.raises(ValueError, match="nothing is connected"):
        cc.Network.from_graph({"a": layer}, [])
    assert (layer.name, layer.given_name) == ("", "")


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        (images(), TypeError, "x must be a tuple, list or dict for the inputs image, vector, got ndarray"),
        ([images()], ValueError, "x must hold 2 inputs (image, vector), got 1"),
        ({"image": images()}, ValueError, "x must have the keys image, vector, got image"),
        ({"image": images(), "b": 1}, ValueError, "x must have the keys image, vector, got image, b"),
    ],
)
def test_other_inputs(x, error, text):
    for op, give in (("Network", two_and_two()), ("predict", two_and_two().predict)):
        with pytest.raises(error) as caught:
            give(x)
        assert str(caught.value) == f"{op}: {text}"


def test_inputs_of_different_lengths():
    with pytest.raises(ValueError) as caught:
        two_and_two().predict((images(5, 4), vectors(4)))
    assert str(caught.value) == (
        "predict: the inputs must hold the same number of observations (image (5, 1, 4, 4), vector (4, 2))"
    )
    with pytest.raises(ValueError) as caught:
        two_and_two().classify((images(5, 4), vectors(5)))
    assert str(caught.value) == "classify: the network has 2 outputs: number, softmax"


def test_inputs_of_unknown_size():
    with pytest.raises(ValueError) as caught:
        two_and_two().initialize()
    assert str(caught.value) == "Network: the size of the input is not known; call initialize(input_shape) first"
    with pytest.raises(ValueError) as caught:
        two_and_two().initialize([(1, 5, 5), (2,)])
    assert str(caught.value) == "Network: input_shape (1, 5, 5) is not the ImageInput's (1, 4, 4)"


# -------------------------------------------------------------------------------------------- formats of a network


def chain():
    layers = [
        cc.ImageInput((3, 6, 7)),
        cc.Conv2D((3, 2), 4),
        cc.ReLU(),
        cc.MaxPool2D(2),
        cc.FullyConnected(5),
        cc.Softmax(),
    ]
    return cc.Network(layers, dtype="float64")


@pytest.mark.parametrize("format", ["BCSS", "SSCB", "CSBS", "SBCS", "BSSC"])
def test_parameters_do_not_depend_on_the_order_of_axes(format):
    x = np.random.default_rng(0).standard_normal((4, 3, 6, 7))
    axes = cc.layers.formats.permutation("BCSS", format) or (0, 1, 2, 3)
    turned = cc.Tensor(x.transpose(axes), format=format)
    expected, net = chain(), chain()
    y = net(turned)
    assert {n: a.tobytes() for n, a in net.arrays().items()} == {n: a.tobytes() for n, a in expected.arrays().items()}
    assert y.format == "BC" if format.index("B") < format.index("C") else "CB"
    by_row = y.data if y.format == "BC" else y.data.T
    assert_array_equal(by_row, expected.predict(x))
    assert_array_equal(net.predict(turned, batch_size=3), y.data)
    assert_array_equal(net.classify(turned), expected.classify(x))
    assert net.predict(cc.Tensor(turned.data.take([], format.index("B")), format=format)).size == 0
    single = chain()
    single.dtype = np.dtype("f4")
    assert single(turned).dtype == np.float32  # cast with its format
    with cc.Tape() as tape:
        z = net(cc.Tensor(turned.data, format=format, requires_grad=True))
    ops = [record.op for record in tape.records]
    moves = ops.count("transpose")
    assert moves == (format != "BCSS") + (y.format != "BC")  # in at the beginning and out at the end, nowhere between
    tape.backward(z, grad=np.ones(z.shape))


def test_an_image_out_is_in_the_order_of_the_image_in():
    net = cc.Network([cc.Conv2D(3, 2, padding="same"), cc.ReLU()], dtype="float64")
    x = images(3)
    y = net(cc.Tensor(x.transpose(2, 3, 1, 0), format="SSCB"))
    assert (y.format, y.shape, net.input_shape, net.input_format) == ("SSCB", (6, 6, 2, 3), (1, 6, 6), "BCSS")
    assert_array_equal(y.data, net(x).data.transpose(2, 3, 1, 0))
    assert net(x).format is None


def test_initialize_with_a_format(tmp_path):
    net = cc.Network([cc.Conv2D((3, 2), 2), cc.FullyConnected(3)])
    net.initialize((7, 6, 1), format="SSCB")
    assert (net.input_shape, net.input_format, net.output_shape) == ((1, 7, 6), "BCSS", (3,))
    plain = cc.Network([cc.Conv2D((3, 2), 2), cc.FullyConnected(3)])
    plain.initialize((1, 7, 6))
    assert_array_equal(net.parameters()["fc.weights"].data, plain.parameters()["fc.weights"].data)
    net.save(tmp_path / "net")
    assert cc.load(tmp_path / "net").input_format == "BCSS"
    sequence = cc.Network([cc.Conv2D((3, 2), 2), cc.FullyConnected(3)])
    sequence.initialize((9, 7, 1), format="TSCB")  # a 1-D image sequence: windows of 3 pixels and 2 steps
    assert sequence.shapes() == [(9, 1, 7), (8, 2, 5), (8, 3)]


@pytest.mark.parametrize(
    ("shape", "format", "error", "text"),
    [
        ((7, 6, 1), "SSC", ValueError, 'format must hold the batch axis B once, got "SSC"'),
        ((7, 6), "BSCB", ValueError, 'format must hold the batch axis B once, got "BSCB"'),
        ((7, 6, 1), "SCB", ValueError, 'format "SC" is for 2 axes, input_shape has 3 (input_shape (7, 6, 1))'),
        (
            (7, 6, 1),
            "SSUB",
            ValueError,
            'the letter U (unspecified) is not supported yet; S, C, B and T are, got "SSU"',
        ),
        ((7, 6, 1), 3, TypeError, "format must be a str, got 3"),
    ],
)
def test_formats_that_cannot_be(shape, format, error, text):
    with pytest.raises(error) as caught:
        cc.Network([cc.Conv2D((3, 2), 2)]).initialize(shape, format=format)
    assert str(caught.value) == f"Network: {text}"


def test_data_without_a_batch_axis():
    for op, give in (("Network", chain()), ("predict", chain().predict)):
        with pytest.raises(ValueError) as caught:
            give(cc.Tensor(np.ones((6, 7, 3)), format="SSC"))
        assert str(caught.value) == (
            f'{op}: x has the format "SSC" without a batch axis B; one observation is a batch of size 1'
        )
    with pytest.raises(ValueError) as caught:
        chain()(cc.Tensor(np.ones((2, 3, 6)), format="BCT"))
    assert str(caught.value) == (
        'imageinput: ImageInput takes formats with B, C and two S, or one S and T, such as "BCSS" or "BCST", got "BCT"'
    )


# --------------------------------------------------------------------------------------------- printing and saving


def test_repr_is_python():
    net = two_and_two()
    text = """Network.from_graph({
    'number': FullyConnected(1, name='number'),
    'image': ImageInput((1, 4, 4), name='image'),
    'flat': Flatten(name='flat'),
    'join': Concatenation(name='join'),
    'classes': FullyConnected(3, name='classes'),
    'softmax': Softmax(name='softmax'),
}, connections=[
    ('image', 'flat'),
    ('flat', 'join/in1'),
    ('vector', 'join/in2'),
    ('join', 'classes'),
    ('classes', 'softmax'),
    ('join', 'number'),
], seed=0, dtype='float64')"""
    assert repr(net) == text
    again = eval(text, vars(cc))
    x = (images(size=4), vectors())
    for one, other in zip(net.predict(x), again.predict(x), strict=True):
        assert_array_equal(one, other)
    assert " ".join(net.spec_text().split()).startswith(
        "6x1 Layer array with layers: 1 'image' Image Input 4x4x1 images"
    )


@pytest.mark.parametrize("make", [residual, two_and_two])
def test_graphs_are_saved_and_loaded(make, tmp_path):
    net = make()
    x = (images(size=4), vectors()) if make is two_and_two else images()
    net.predict(x)
    net.fit_normalization(x)
    net.save(tmp_path / "net")
    again = cc.load(tmp_path / "net")
    assert repr(again) == repr(net)
    assert again.architecture() == net.architecture()
    assert {n: a.tobytes() for n, a in again.arrays().items()} == {n: a.tobytes() for n, a in net.arrays().items()}
    assert (again.input_names, again.output_names) == (net.input_names, net.output_names)
    assert (again.input_shape, again.initialized) == (net.input_shape, True)
    unknown = cc.Network.from_architecture(make().architecture())  # before any data
    assert unknown.input_shape == make().input_shape
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net").read_bytes()
    fresh = cc.Network.from_architecture(net.architecture())
    fresh.load_arrays(net.arrays())
    flat = [np.concatenate([part.ravel() for part in parts]) if isinstance(parts, tuple) else parts
            for parts in (fresh.predict(x), net.predict(x), again.predict(x))]  # fmt: skip
    assert_array_equal(flat[0], flat[1])
    assert_array_equal(flat[1], flat[2])


def test_outputs_keep_the_order_in_which_they_were_given(tmp_path):
    net = cc.Network.from_graph(
        {"deep": cc.FullyConnected(1), "shallow": cc.FullyConnected(2), "middle": cc.ReLU()},
        [("in", "middle"), ("middle", "deep"), ("in", "shallow")],
    )
    assert [layer.name for layer in net.layers] == ["shallow", "middle", "deep"]
    assert net.output_names == ("deep", "shallow")
    assert [y.shape for y in net.predict(np.ones((4, 3)))] == [(4, 1), (4, 2)]
    net.save(tmp_path / "net")
    again = cc.load(tmp_path / "net")
    assert (again.output_names, [layer.name for layer in again.layers]) == (
        net.output_names, [layer.name for layer in net.layers])  # fmt: skip


def test_files_of_the_first_format_are_read(tmp_path):
    net = cc.Network([cc.ImageInput((1, 6, 6)), cc.Conv2D(3, 2), cc.ReLU(), cc.FullyConnected(3), cc.Softmax()])
    net.save(tmp_path / "net")
    arrays, metadata = read_tensors(tmp_path / "net", "test")
    old = metadata["network"]
    assert old.pop("connections") is None
    assert old.pop("input_format") is None
    assert old["format"] == "convcore network 2"
    old["format"] = "convcore network 1"
    write_tensors(tmp_path / "old", arrays, metadata)
    assert_array_equal(cc.load(tmp_path / "old").predict(images()), net.predict(images()))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda n: n["connections"].pop(), "Network: nothing is connected to 'softmax'"),
        (lambda n: n["connections"].append(["softmax", "conv1"]),
         "Network: 'conv1' takes 1 input, 2 are connected: in, softmax"),
        (lambda n: n.update(connections=3), "not a network that convcore can read "
         "(Network: connections must be a list of (source, destination), got 3)"),
        (lambda n: n["layers"][0].update(name="fc"), "Network: two layers have the name 'fc'"),
        (lambda n: n["layers"][0].update(name=""), "Network: a name must be a str without '.' and '/', got ''"),
        (lambda n: n.update(input_format="XY"), "Network: format must hold the batch axis B once, got \"XY\""),
    ],
)  # fmt: skip
def test_damaged_graphs(change, text, tmp_path):
    residual().save(tmp_path / "net")
    arrays, metadata = read_tensors(tmp_path / "net", "test")
    change(metadata["network"])
    write_tensors(tmp_path / "net", arrays, metadata)
    with pytest.raises(ValueError) as caught:
        cc.load(tmp_path / "net")
    assert str(caught.value) == f"load: {tmp_path / 'net'}: {text}"


# ------------------------------------------------------------------------------------------------------- training


def test_a_graph_is_trained_and_resumed_from_a_checkpoint(tmp_path):
    x, y = np.random.default_rng(0).standard_normal((24, 1, 6, 6)), np.arange(24) % 3
    options = dict(max_epochs=4, mini_batch_size=8, verbose=False, initial_learn_rate=0.05)
    net = residual(dtype="float32")
    cc.train(net, (x, y), options=cc.TrainingOptions("sgdm", checkpoint_path=tmp_path, **options))
    history = cc.train(None, (x, y), resume=tmp_path)
    again = history.network
    assert repr(again) == repr(net)
    for name, array in net.arrays().items():
        assert_array_equal(again.arrays()[name], array)
    assert history.final["loss"] < history.rows[0]["loss"]


def test_a_classifier_that_ends_in_an_output_layer_is_trained():
    x, y = images(24), np.arange(24) % 2
    layers = [cc.ImageInput((1, 6, 6)), cc.FullyConnected(2), cc.Softmax()]
    plain = cc.Network(layers)
    marked = cc.Network([type(layer)(**layer.config()) for layer in layers] + [cc.ClassificationOutput(["a", "b"])])
    options = cc.TrainingOptions("sgdm", max_epochs=2, mini_batch_size=8, verbose=False)
    for net in (plain, marked):
        cc.train(net, (x, y), options=options)
    assert_array_equal(plain.parameters()["fc.weights"].data, marked.parameters()["fc.weights"].data)
    assert cc.evaluate(plain, (x, y)) == cc.evaluate(marked, (x, y))


def test_a_regression_of_sequences_is_trained():
    """Each time step's response is a linear function of its channels: the loss falls to almost nothing."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 3, 5))
    t = np.einsum("rc,nct->nrt", rng.standard_normal((2, 3)), x)
    net = cc.Network([cc.SequenceInput(3), cc.FullyConnected(2), cc.RegressionOutput()])
    options = cc.TrainingOptions("sgdm", max_epochs=40, mini_batch_size=16, initial_learn_rate=0.1, verbose=False,
                                 l2_regularization=0.0)  # fmt: skip
    history = cc.train(net, (x, t), loss=net.output_layer.loss, options=options)
    assert history.final["loss"] < 1e-6 < history.rows[0]["loss"]

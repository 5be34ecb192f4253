"""The public contract: names, signatures and defaults that users rely on. Adding is free, changing is not."""

import doctest
import importlib
import inspect
import operator
import pkgutil

import numpy as np
import pytest

import convcore as cc

CONV = "stride=1, padding=0, padding_value=0, dilation=1, groups=1, variant=None"
LEARNED = """weights_initializer="glorot", bias_initializer="zeros", weights=None, bias=None,
    weight_learn_rate_factor=1, bias_learn_rate_factor=1, weight_l2_factor=1, bias_l2_factor=0, name="" """
RUN = "variant=None, level=None, n_threads=None, out=None"
TRANSPOSED = "stride=1, cropping=0, output_padding=0, dilation=1, groups=1, variant=None"

FUNCTIONS = {
    **{f"conv{n}d": f"x, weight, bias=None, *, {CONV}" for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": f"x, weight, bias=None, *, {TRANSPOSED}" for n in (1, 2, 3)},
    "batch_norm": "x, scale, offset, running_mean, running_var, *, training, momentum=0.1, epsilon=1e-5",
    "cross_channel_norm": "x, window_channel_size, *, alpha=1e-4, beta=0.75, k=2.0",
    **{f"max_pool{n}d": "x, pool_size, *, stride=None, padding=0, dilation=1" for n in (1, 2, 3)},
    **{f"avg_pool{n}d": "x, pool_size, *, stride=None, padding=0, padding_value=0" for n in (1, 2, 3)},
    "global_avg_pool": "x",
    "global_max_pool": "x",
    "relu": "x",
    "leaky_relu": "x, scale=0.01",
    "clipped_relu": "x, ceiling",
    "elu": "x, alpha=1.0",
    "gelu": "x",
    "swish": "x",
    "tanh": "x",
    "sigmoid": "x",
    "exp": "x",
    "log": "x",
    "flatten": "x",
    "fully_connected": "x, weight, bias=None",
    "softmax": "x, axis=1",
    "log_softmax": "x, axis=1",
    "dropout": "x, probability, *, training, rng",
    "cross_entropy": "logits, target",
    "mse": "y, t",
    "half_mse": "y, t",
    "mae": "y, t",
    "huber": "y, t",
    "sum": "x",
    "mean": "x",
    "max": "x",
    "reshape": "x, *shape",
    "transpose": "x, *axes",
    "concatenate": "tensors",
    "stack": "tensors",
    "pad": "x, pad_width",
    "gradient": "f, argnums=0",
    "gradcheck": "f, inputs",
}
LAYERS = {
    **{
        f"Conv{n}D": f"""filter_size, num_filters, *, stride=1, dilation_factor=1, padding=0, padding_value=0,
                        num_channels="auto", {LEARNED}"""
        for n in (1, 2, 3)
    },
    "GroupedConv2D": f"""filter_size, num_filters_per_group, num_groups, *, stride=1, dilation_factor=1, padding=0,
                         padding_value=0, {LEARNED}""",
    **{f"TransposedConv{n}D": f"filter_size, num_filters, *, stride=1, cropping=0, {LEARNED}" for n in (1, 2, 3)},
    "ImageInput": 'input_size, *, normalization="zerocenter", name=""',
    "ReLU": '*, name=""',
    "BatchNorm": """*, epsilon=1e-5, mean_decay=0.1, variance_decay=0.1, offset_learn_rate_factor=1,
                    scale_learn_rate_factor=1, offset_l2_factor=1, scale_l2_factor=1, name="" """,
    "CrossChannelNorm": 'window_channel_size, *, alpha=1e-4, beta=0.75, k=2, name=""',
    "LeakyReLU": 'scale=0.01, *, name=""',
    "ClippedReLU": 'ceiling, *, name=""',
    "ELU": 'alpha=1.0, *, name=""',
    "Tanh": '*, name=""',
    "Sigmoid": '*, name=""',
    "GELU": '*, name=""',
    "Swish": '*, name=""',
    **{
        f"{kind}Pool{n}D": 'pool_size, *, stride=None, padding=0, name=""' for kind in ("Max", "Avg") for n in (1, 2, 3)
    },
    "GlobalAvgPool": '*, name=""',
    "GlobalMaxPool": '*, name=""',
    "FullyConnected": f"output_size, *, {LEARNED}",
    "Dropout": 'probability=0.5, *, name=""',
    "Softmax": '*, name=""',
    "Flatten": '*, name=""',
    "SequenceInput": "input_size, *, min_length=1, name=''",
    "Addition": "num_inputs=2, *, name=''",
    "Concatenation": "axis=1, num_inputs=2, *, name=''",
    "ClassificationOutput": "classes=None, *, name=''",
    "RegressionOutput": "*, name=''",
    "Function": "f, *, num_inputs=1, formattable=False, description='', name=''",
}
OTHERS = {
    "Tensor": "data, requires_grad=False, name=None, format=None",
    "Parameter": "data, learn_rate_factor=1.0, l2_factor=1.0, name=None",
    "Tape": "",
    "Tape.backward": "self, target, grad=None, keep=None",
    "Tape.steps": "self, target",
    "Tensor.backward": "self, grad=None, keep=None",
    "Network": 'layers, seed=0, dtype="float32"',
    "Network.__call__": "self, x",
    "Network.from_graph": 'layers, connections, seed=0, dtype="float32"',
    "Network.initialize": "self, input_shape=None, seed=None, format=None",
    "Network.predict": "self, x, batch_size=256",
    "Network.classify": "self, x",
    "Network.parameters": "self",
    "Network.summary": "self",
    "Network.save": "self, path",
    "load": "path, functions=None",
    "Conv2D.spec_text": "self",
    "SGD": 'parameters, learn_rate=0.01, momentum=0.9, l2_regularization=1e-4, update="velocity"',
    "Adam": """parameters, learn_rate=0.001, gradient_decay_factor=0.9, squared_gradient_decay_factor=0.999,
        epsilon=1e-8, l2_regularization=1e-4""",
    "RMSProp": """parameters, learn_rate=0.001, squared_gradient_decay_factor=0.9, epsilon=1e-8,
        l2_regularization=1e-4""",
    "SGD.step": "self",
    "SGD.zero_grad": "self",
    "train": "net, data, loss=None, options=None",
    "History.plot": "self, path",
    "History.to_csv": "self, path",
    "TrainingOptions": """solver, *, initial_learn_rate=0.01, momentum=0.9, l2_regularization=1e-4, max_epochs=30,
        mini_batch_size=128, shuffle="once", learn_rate_schedule="none", learn_rate_drop_factor=0.1,
        learn_rate_drop_period=10, gradient_threshold=float("inf"), gradient_threshold_method="l2norm",
        validation_data=None, validation_frequency=50, validation_patience=float("inf"), verbose=True,
        verbose_frequency=50, plots="none", drop_last=False, output_network="last", checkpoint_path=None,
        checkpoint_frequency=1, seed=0, n_threads=None, callbacks=()""",
    "set_num_threads": "n",
    "get_num_threads": "",
    "num_threads": "n",
    "use_variant": "op, variant",
    "set_precision": "kind",
    "get_precision": "",
    "precision": "kind",
    "kernels.conv2d_forward": f"x, weight, bias=None, *, {RUN}, **geometry",
    "kernels.conv2d_backward_input": f"grad_y, weight, input_shape, *, {RUN}, **geometry",
    "kernels.conv2d_backward_weight": f"grad_y, x, weight_shape, *, {RUN}, **geometry",
    "kernels.conv2d_backward_bias": f"grad_y, *, {RUN}",
    "kernels.gemm": f"a, b, *, transpose_a=False, transpose_b=False, {RUN}",
    "kernels.variants": "op",
    "kernels.explain": "op, geometry",
    "kernels.register": "op, module, name",
}


@pytest.mark.parametrize("name", [*FUNCTIONS, *LAYERS, *OTHERS])
def test_signatures(name):
    """What the contract lists stands there, at the same place, with the same default; what was added has a default."""
    text = " ".join({**FUNCTIONS, **LAYERS, **OTHERS}[name].split())
    promised = inspect.signature(eval(f"lambda {text}: None")).parameters
    found = inspect.signature(operator.attrgetter(name)(cc)).parameters
    for key, parameter in promised.items():
        assert key in found
        assert found[key].kind == parameter.kind
        if parameter.default is not parameter.empty:
            assert found[key].default == parameter.default
    by_place = [key for key, parameter in promised.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert list(found)[: len(by_place)] == by_place
    variadic = inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL
    for key in set(found) - set(promised):
        assert found[key].default is not inspect.Parameter.empty or found[key].kind in variadic


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_in_functional_too(name):
    assert getattr(cc.functional, name) is getattr(cc, name)
    assert name in cc.functional.__all__


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_layers(name):
    assert issubclass(getattr(cc, name), cc.Layer)


def test_everything_public_says_what_it_does():
    missing = [
        name for name in dir(cc)
        if not name.startswith("_") and not (inspect.getdoc(getattr(cc, name)) or "").strip()
    ]  # fmt: skip
    assert missing == []


def test_tensors_have_what_the_contract_lists():
    x = cc.Tensor([[1.0, 2.0]], name="x", format="CB")
    assert (x.shape, x.dtype, x.name, x.format, x.grad) == ((1, 2), np.float64, "x", "CB", None)
    assert x.numpy() is x.data
    assert np.asarray(x) is not None
    assert np.from_dlpack(x).shape == (1, 2)
    for y in (x + x, x - 1, 2 * x, x / 2, x @ x.transpose(), x**2, -x, x[0, 1:], x.sum(), x.mean(), x.max(),
              x.reshape(2, 1), x.flatten(), x.exp(), x.log(), x.tanh(), x.sigmoid()):  # fmt: skip
        assert isinstance(y, cc.Tensor)


def test_steps_show_one_record_at_a_time():
    x, w = cc.Tensor(np.ones((1, 1, 3, 3))), cc.Parameter(np.ones((1, 1, 3, 3)), name="w")
    with cc.Tape() as tape:
        loss = cc.sum(cc.conv2d(x, w, variant="direct"))
    steps = list(tape.steps(loss))
    assert [step.op for step in steps] == ["sum", "conv2d"]
    step = steps[1]
    assert (step.variant, step.inputs, step.output.shape) == ("direct", (x, w), (1, 1, 1, 1))
    np.testing.assert_array_equal(step.grad_output, [[[[1]]]])
    assert step.grad_inputs[0] is None
    np.testing.assert_array_equal(step.grad_inputs[1], x.data)
    assert w.grad is None  # steps write nothing
    tape.backward(loss)
    np.testing.assert_array_equal(w.grad, x.data)
    assert issubclass(cc.GradientError, Exception)


def test_the_contracts_examples_run(tmp_path):
    net = cc.Network([cc.ImageInput((1, 28, 28)), cc.Conv2D(5, 20), cc.ReLU(), cc.MaxPool2D(2), cc.FullyConnected(10),
                      cc.Softmax()], seed=0, dtype="float32")  # fmt: skip
    x = np.zeros((3, 1, 28, 28), np.uint8)
    assert net(x).shape == net.predict(x, batch_size=256).shape == (3, 10)
    assert net.classify(x).shape == (3,)
    net.save(tmp_path / "lenet.safetensors")
    assert repr(cc.load(tmp_path / "lenet.safetensors")) == repr(net)
    with cc.num_threads(1), cc.use_variant("conv2d", "im2col"):
        assert cc.get_num_threads() == 1
        net(x)
    assert "reference" in cc.kernels.variants("conv2d")
    assert "direct" in cc.kernels.explain("conv2d", "mb64ic1ih28oc6oh28kh5ph2")


def test_importing_takes_numpy_only(python):
    """Third-party packages are imported where they are used."""
    heavy = ["typer", "rich", "safetensors", "pooch", "PIL", "matplotlib", "torch"]
    program = f"import sys, convcore; print([name for name in {heavy} if name in sys.modules])"
    assert python(program) == "[]"


MODULES = [m.name for m in pkgutil.walk_packages(cc.__path__, "convcore.") if "_compiled" not in m.name]
MODULES += ["convcore._compiled.routine"]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples_in_docstrings(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0

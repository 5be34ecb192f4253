"""Denormal numbers: zeros in kernels, on every thread; as the caller has them before and after."""

import threading

import numpy as np
import pytest
from strategies import THREADS

import convcore as cc
from convcore import doctor, kernels
from convcore._compiled import cpu
from convcore.train import train

pytestmark = pytest.mark.skipif(
    "0 of" in doctor.denormals_in_kernels(1), reason="this build does not flush denormal numbers"
)
SMALL = np.float32(1e-20)  # 1e-40, its square, is denormal


def products(n_threads, variant=None):
    """Return products of small numbers, of as many tasks as any number of threads here shares."""
    x, weight = np.full((64, 1, 9, 9), SMALL), np.full((3, 1, 3, 3), SMALL)
    return kernels.conv2d_forward(x, weight, variant=variant, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", THREADS)
def test_kernels_take_them_for_zeros_on_every_thread(n_threads):
    for variant in ("images", "filters", "im2col", "direct"):
        assert not products(n_threads, variant).any()


def test_in_python_threads_of_their_own():
    found = []
    one = threading.Thread(target=lambda: found.extend([products(3).any(), products(8).any(), products(2).any()]))
    one.start()
    one.join()
    assert found == [False, False, False]


def test_helpers_of_any_origin_are_in_that_mode(python):
    """Some are there before, started by somebody else; fewer threads for a while end some, and others come later."""
    python("""
from convcore._compiled import cpu
from convcore import kernels, threads
import numpy as np
cpu.spread_threads(8)
if cpu.openmp_date():
    assert cpu.threads_flushing(8) == 0
for n in (2, 8, 3, 8):
    threads.LOOK_EVERY = 0  # each call looks where its threads are
    kernels.run("relu", "forward", kernels.FlatGeometry("relu", 9), np.zeros(9), n_threads=n)
    with cpu.DenormalsAsZeros(n):
        assert cpu.threads_flushing(n) == (n if cpu.openmp_date() else 1)
""")


def test_the_callers_mode_is_restored():
    assert SMALL * SMALL > 0
    products(2)
    assert SMALL * SMALL > 0
    with pytest.raises(ValueError, match="target 5 is no class"):  # found by the kernel itself
        cc.ops.cross_entropy(cc.Tensor(np.zeros((1, 2), np.float32)), np.array([5]))
    assert not cpu.flushes_denormals()


def test_a_caller_who_flushes_them_goes_on_flushing_them():
    with cpu.DenormalsAsZeros(1):
        products(2)
        assert cpu.flushes_denormals()
    assert not cpu.flushes_denormals()


def test_weights_that_decay_never_become_denormal():
    """The rate times the regularization halves them at each iteration, until half of them would be denormal."""
    net = cc.Network([cc.ImageInput((1, 2, 2), normalization="none"), cc.FullyConnected(3), cc.Softmax()])
    data = (np.zeros((8, 1, 2, 2), np.float32), np.zeros(8, np.int64))
    denormal, weights = [], []

    def look(info):
        for parameter in net.parameters().values():
            size = np.abs(parameter.data)
            denormal.append(((0 < size) & (size < np.finfo(np.float32).tiny)).any())
        weights.append(np.abs(net.parameters()["fc.weights"].data).max())

    train(net, data, options=cc.TrainingOptions(
        max_epochs=200, mini_batch_size=8, initial_learn_rate=0.5, l2_regularization=1.0, momentum=0.0, verbose=False,
        callbacks=[look],
    ))  # fmt: skip
    assert not any(denormal)
    assert 1e-38 < weights[-1] == weights[-50] < 4e-38 < weights[100]

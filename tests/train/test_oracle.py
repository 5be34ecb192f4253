"""Whole training runs against ones written by hand: forward, backward and solvers in plain NumPy, float64.

Nothing of the package is used in the definition but the order of the images, which has tests of its own.
"""

import math

import numpy as np
import pytest

from convcore.data import epoch_order
from convcore.layers import Conv2D, FullyConnected, ImageInput, ReLU, Softmax
from convcore.network import Network
from convcore.train import TrainingOptions, train

N, BATCH, EPOCHS, SEED = 40, 8, 10, 5  # 5 iterations in each of 10 epochs

# (learning rate factor, L2 factor) of each parameter
FACTORS = {
    "conv.weights": (0.5, 2.0), "conv.bias": (2.0, 1.0), "fc1.weights": (1.0, 0.0), "fc1.bias": (0.0, 1.0),
    "fc2.weights": (1.5, 0.5), "fc2.bias": (1.0, 0.0),
}  # fmt: skip
SOLVERS = {
    "sgdm": {"momentum": 0.8, "initial_learn_rate": 0.05},
    "adam": {"gradient_decay_factor": 0.8, "squared_gradient_decay_factor": 0.95, "epsilon": 1e-6,
             "initial_learn_rate": 0.01},
    "rmsprop": {"squared_gradient_decay_factor": 0.85, "epsilon": 1e-6, "initial_learn_rate": 0.01},
}  # fmt: skip
SCHEDULES = {
    "none": {},
    "piecewise": {"learn_rate_schedule": "piecewise", "learn_rate_drop_factor": 0.5, "learn_rate_drop_period": 3},
    "cosine": {"learn_rate_schedule": "cosine"},
    "polynomial": {"learn_rate_schedule": "polynomial", "polynomial_power": 2.0, "final_learn_rate": 0.001},
    "warmup": {"learn_rate_schedule": "warmup", "warmup_period": 7, "warmup_unit": "iterations"},
    "warmup,cosine": {"learn_rate_schedule": ("warmup", "cosine"), "warmup_factor": 0.1, "warmup_period": 2},
}
THRESHOLDS = {
    "none": {},
    "l2norm": {"gradient_threshold": 0.05, "gradient_threshold_method": "l2norm"},
    "global-l2norm": {"gradient_threshold": 0.1, "gradient_threshold_method": "global-l2norm"},
    "absolute-value": {"gradient_threshold": 0.01, "gradient_threshold_method": "absolute-value"},
}
CASES = [
    *((solver, "cosine", threshold) for solver in SOLVERS for threshold in THRESHOLDS),
    *((solver, schedule, "none") for solver in SOLVERS for schedule in SCHEDULES if schedule != "cosine"),
]


def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((N, 2, 5, 5)), rng.integers(0, 3, N)


def initial_weights():
    rng = np.random.default_rng(2)
    shapes = {"conv.weights": (3, 2, 3, 3), "conv.bias": (3,), "fc1.weights": (6, 27), "fc1.bias": (6,),
              "fc2.weights": (3, 6), "fc2.bias": (3,)}  # fmt: skip
    return {name: 0.4 * rng.standard_normal(shape) for name, shape in shapes.items()}


# ---------------------------------------------------------------- the definition


def loss_and_gradients(w, x, labels):
    """Convolution, ReLU, two fully connected layers with a ReLU between them, softmax, cross-entropy."""
    n = len(x)
    a = np.zeros((n, 3, 3, 3))
    for i in range(3):
        for j in range(3):
            a[:, :, i, j] = (
                np.einsum("ncuv,kcuv->nk", x[:, :, i : i + 3, j : j + 3], w["conv.weights"]) + w["conv.bias"]
            )
    h = np.maximum(a, 0).reshape(n, 27)
    b = h @ w["fc1.weights"].T + w["fc1.bias"]
    k = np.maximum(b, 0)
    z = k @ w["fc2.weights"].T + w["fc2.bias"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(n), labels]).mean()

    g = {}
    dz = (p - np.eye(3)[labels]) / n
    g["fc2.weights"], g["fc2.bias"] = dz.T @ k, dz.sum(axis=0)
    db = (dz @ w["fc2.weights"]) * (b > 0)
    g["fc1.weights"], g["fc1.bias"] = db.T @ h, db.sum(axis=0)
    da = (db @ w["fc1.weights"]).reshape(n, 3, 3, 3) * (a > 0)
    g["conv.bias"] = da.sum(axis=(0, 2, 3))
    g["conv.weights"] = np.zeros((3, 2, 3, 3))
    for i in range(3):
        for j in range(3):
            g["conv.weights"] += np.einsum("nk,ncuv->kcuv", da[:, :, i, j], x[:, :, i : i + 3, j : j + 3])
    return loss, g


def rate_of(schedule, initial, t, epoch, total):
    if schedule == "piecewise":
        return initial * 0.5 ** ((epoch - 1) // 3)
    if schedule == "polynomial":
        return 0.001 + (initial - 0.001) * ((total - t + 1) / total) ** 2
    if schedule == "warmup":
        return initial * min(1, t / 7)
    cosine = initial / 2 * (1 + math.cos(math.pi * (t - 1) / total))
    if schedule == "cosine":
        return cosine
    if schedule == "warmup,cosine":
        return cosine * min(1, 0.1 + 0.9 * t / (2 * N / BATCH))
    return initial


def limited(g, method):
    moving = [name for name in g if FACTORS[name][0]]
    norms = {name: np.sqrt((g[name] ** 2).sum()) for name in moving}
    if method == "l2norm":
        return {name: g[name] * min(1, 0.05 / norms[name]) for name in moving}
    if method == "global-l2norm":
        total = np.sqrt(sum(norm**2 for norm in norms.values()))
        return {name: g[name] * min(1, 0.1 / total) for name in moving}
    if method == "absolute-value":
        return {name: np.where(np.abs(g[name]) > 0.01, 0.01 * np.sign(g[name]), g[name]) for name in moving}
    return {name: g[name] for name in moving}


def definition(solver, schedule, threshold, l2):
    x, y = data()
    w, own, rows = initial_weights(), SOLVERS[solver], []
    m = {name: np.zeros_like(a) for name, a in w.items()}
    s = {name: np.zeros_like(a) for name, a in w.items()}
    total = EPOCHS * N // BATCH
    for epoch in range(1, EPOCHS + 1):
        order = epoch_order(N, "every-epoch", SEED, epoch - 1)
        for part in order.reshape(-1, BATCH):
            t = len(rows) + 1
            loss, g = loss_and_gradients(w, x[part], y[part])
            rate = rate_of(schedule, own["initial_learn_rate"], t, epoch, total)
            rows.append((loss, rate))
            g = limited({name: g[name] + l2 * FACTORS[name][1] * w[name] for name in w}, threshold)
            for name in g:
                r = rate * FACTORS[name][0]
                if solver == "sgdm":
                    m[name] = own["momentum"] * m[name] - r * g[name]
                    w[name] = w[name] + m[name]
                    continue
                b2 = own["squared_gradient_decay_factor"]
                s[name] = b2 * s[name] + (1 - b2) * g[name] ** 2
                if solver == "rmsprop":
                    w[name] = w[name] - r * g[name] / (np.sqrt(s[name]) + own["epsilon"])
                    continue
                b1 = own["gradient_decay_factor"]
                m[name] = b1 * m[name] + (1 - b1) * g[name]
                w[name] = w[name] - r * (m[name] / (1 - b1**t)) / (np.sqrt(s[name] / (1 - b2**t)) + own["epsilon"])
    return w, rows


# ---------------------------------------------------------------- the comparison


def layer(kind, *sizes, name):
    (weights, weights_l2), (bias, bias_l2) = FACTORS[f"{name}.weights"], FACTORS[f"{name}.bias"]
    start = initial_weights()
    return kind(
        *sizes, name=name, weights=start[f"{name}.weights"], bias=start[f"{name}.bias"],
        weight_learn_rate_factor=weights, weight_l2_factor=weights_l2, bias_learn_rate_factor=bias,
        bias_l2_factor=bias_l2,
    )  # fmt: skip


@pytest.mark.parametrize(("solver", "schedule", "threshold"), CASES, ids=map("-".join, CASES))
def test_a_run_equals_the_one_by_hand(solver, schedule, threshold):
    net = Network([
        ImageInput((2, 5, 5), normalization="none"), layer(Conv2D, 3, 3, name="conv"), ReLU(),
        layer(FullyConnected, 6, name="fc1"), ReLU(), layer(FullyConnected, 3, name="fc2"), Softmax(),
    ], dtype="float64")  # fmt: skip
    options = TrainingOptions(
        solver, max_epochs=EPOCHS, mini_batch_size=BATCH, shuffle="every-epoch", seed=SEED, l2_regularization=0.01,
        verbose=False, **SOLVERS[solver], **SCHEDULES[schedule], **THRESHOLDS[threshold],
    )  # fmt: skip
    history = train(net, data(), options=options)
    weights, rows = definition(solver, schedule, threshold, l2=0.01)
    for name, parameter in net.parameters().items():
        np.testing.assert_allclose(parameter.data, weights[name], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(history.column("loss"), [loss for loss, _ in rows], rtol=1e-10)
    np.testing.assert_allclose(history.column("learn_rate"), [rate for _, rate in rows], rtol=1e-13)
    np.testing.assert_array_equal(net.parameters()["fc1.bias"].data, initial_weights()["fc1.bias"])  # factor 0
    assert history.rows[-1]["loss"] < 1.5  # it has been learning, not diverging

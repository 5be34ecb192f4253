"""Matrix products beside NumPy's: squares, and the shapes of fully connected layers and of 1×1 convolutions.

NumPy's BLAS is given as many threads as we take. AVX2 on both sides: CONVCORE_ISA=x86-64-v3 OPENBLAS_CORETYPE=Haswell.
"""

import contextlib
import itertools
import os
import statistics

import numpy as np

from convcore import kernels, threads
from convcore.profile.timing import in_turn, ratio

FORMS = {"nn": (False, False), "tn": (True, False), "nt": (False, True), "tt": (True, True)}


def fully_connected(batches, layers):
    """The three products of a fully connected layer: y = x · Wᵀ, grad_x = grad_y · W, grad_weight = grad_yᵀ · x."""
    for batch, (inputs, outputs) in itertools.product(batches, layers):
        yield batch, outputs, inputs, "nt"
        yield batch, inputs, outputs, "nn"
        yield outputs, inputs, batch, "tn"


PROBLEMS = {  # M, N, K, form
    "squares": [(n, n, n, form) for n in (256, 512, 1024) for form in FORMS],
    "lenet": [*fully_connected((16, 64, 128, 512), [(400, 120), (120, 84), (84, 10)])],
    "resnet": [*fully_connected((32, 64, 256), [(2048, 1000)])],
    "pointwise": [(filters, pixels, channels, form)
                  for filters, channels in ((64, 64), (256, 64), (64, 256), (128, 512), (512, 512))
                  for pixels in (49, 196, 784, 3136) for form in FORMS],
}  # fmt: skip


def bench(kinds, n_threads, rounds, seconds):
    """Time every product of some kinds; return the rows and print them."""
    rows = []
    print(f"{'kind':10} {'M':>5} {'N':>5} {'K':>5} form {'GFLOP/s':>8} {'NumPy':>8} {'ratio':>6}")
    with threads.num_threads(n_threads), blas_threads(n_threads):
        for kind in kinds:
            found = [bench_one(kind, *problem, rounds, seconds) for problem in PROBLEMS[kind]]
            ratios = [row["ratio"] for row in found]
            print(f"{kind}: geometric mean {statistics.geometric_mean(ratios):.2f}, smallest {min(ratios):.2f}")
            rows += found
    return rows


def blas_threads(n_threads):
    """Return a context in which NumPy's BLAS takes so many threads."""
    try:
        import threadpoolctl

        return threadpoolctl.threadpool_limits(n_threads, "blas")
    except ImportError:
        if os.environ.get("OPENBLAS_NUM_THREADS") != str(n_threads):
            message = f"gemm: set OPENBLAS_NUM_THREADS={n_threads}, or install threadpoolctl"
            raise SystemExit(message) from None
        return contextlib.nullcontext()


def bench_one(kind, M, N, K, form, rounds, seconds):
    transpose_a, transpose_b = FORMS[form]
    rng = np.random.default_rng(0)
    geometry = kernels.MatrixGeometry("gemm", M, N, K, transpose_a, transpose_b)
    a, b = (rng.uniform(-1, 1, geometry.shapes[name]).astype(np.float32) for name in "ab")
    ours, theirs = np.empty((M, N), np.float32), np.empty((M, N), np.float32)
    left, right = a.T if transpose_a else a, b.T if transpose_b else b
    functions = {
        "ours": lambda: kernels.run("gemm", "forward", geometry, a, b, out=ours),
        "numpy": lambda: np.matmul(left, right, out=theirs),
    }
    times = in_turn(functions, rounds, seconds)
    bound = 8 * np.finfo(np.float32).eps * K  # both round, up to 4 eps per term of at most 1
    error = np.abs(ours - theirs).max()
    if not error <= bound:
        raise SystemExit(f"gemm {geometry}: differs from NumPy by {error:.3g}, allowed {bound:.3g}")
    gflops = {name: geometry.operations("forward") / statistics.median(times[name]) / 1e9 for name in functions}
    row = {"kind": kind, "problem": str(geometry), **gflops, "ratio": ratio(times["numpy"], times["ours"])}
    rates = f"{gflops['ours']:8.1f} {gflops['numpy']:8.1f} {row['ratio']:6.2f}"
    print(f"{kind:10} {M:5} {N:5} {K:5} {form:4} {rates}", flush=True)
    return row

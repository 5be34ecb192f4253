"""Convolution problems × directions × variants, each checked against the reference before it is timed."""

import dataclasses
import json
import math
import pathlib

import numpy as np

from bench.harness import in_turn, ratio
from convcore import kernels, threads
from convcore.kernels import registry

DIRECTIONS = ("forward", "backward_input", "backward_weight")


def read_problems(name):
    """Return the geometries of a problem file, given by name or path, or of one problem given as text."""
    path = pathlib.Path(__file__).parent / "problems" / f"{name}.txt"
    path = path if path.exists() else pathlib.Path(name)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else [name]
    texts = [line.split("#")[0].strip() for line in lines]
    return [kernels.ConvGeometry.parse(text) for text in texts if text]


def arrays_of(geometry):
    rng = np.random.default_rng(0)
    names = ("x", "weight", "bias", "grad_y")
    return {name: rng.standard_normal(geometry.shapes[name], np.float32) for name in names}


def check(geometry, direction, arrays, variant):
    """Compare a variant with the reference on the first images of the batch; raise where they differ."""
    few = dataclasses.replace(geometry, batch=min(2, geometry.batch))
    arrays = {**arrays, "x": arrays["x"][: few.batch], "grad_y": arrays["grad_y"][: few.batch]}
    inputs = [arrays[name] for name in few.SIGNATURES[direction][0]]
    reference = kernels.run(geometry.op, direction, few, *[a.astype(np.float64) for a in inputs], variant="reference")
    got = kernels.run(geometry.op, direction, few, *inputs, variant=variant)
    error, allowed = np.abs(got - reference).max(), error_bound(few, direction, variant, inputs)
    if not error <= allowed:
        raise SystemExit(
            f"{variant} {direction} {few}: differs from the reference by {error:.3g}, allowed {allowed:.3g}"
        )


def error_bound(geometry, direction, variant, inputs):
    """Return the largest error that a variant may make: 4 · eps · products · max · max, times its factor."""
    result = geometry.shapes[geometry.SIGNATURES[direction][1]]
    products = geometry.operations(direction) / 2 / math.prod(result) + 1
    largest = math.prod(np.abs(a).max() for a in inputs if a is not None and a.ndim > 1)
    return registry.rounding_factor(geometry.op, variant) * 4 * np.finfo(np.float32).eps * products * largest


def bench(problems, variants, n_threads, peer, rounds, seconds, json_path=None):
    """Time everything and print one row per problem, direction and variant."""
    rows = []
    beside = f"ratio to {peer.__name__.removeprefix('bench.peer_')}" if peer else ""
    print(f"{'problem':44} {'direction':16} {'variant':10} {'GFLOP/s':>8} {beside:>16}")
    with threads.num_threads(n_threads):
        for geometry in problems:
            arrays = arrays_of(geometry)
            for direction in DIRECTIONS:
                rows += bench_one(geometry, direction, arrays, variants, n_threads, peer, rounds, seconds)
    if json_path:
        pathlib.Path(json_path).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return rows


def bench_one(geometry, direction, arrays, variants, n_threads, peer, rounds, seconds):
    inputs = [arrays[name] for name in geometry.SIGNATURES[direction][0]]
    functions = {}
    for variant in variants:
        if kernels.refusal(geometry.op, variant, direction, geometry, np.dtype(np.float32)):
            continue
        check(geometry, direction, arrays, variant)
        functions[variant] = lambda variant=variant: kernels.run(geometry.op, direction, geometry, *inputs,
                                                                 variant=variant, n_threads=n_threads)  # fmt: skip
    theirs = peer.conv2d(direction, geometry, arrays) if peer else None
    if theirs:
        functions["peer"] = theirs
    times = in_turn(functions, rounds, seconds)
    rows = []
    for variant in functions:
        if variant == "peer":
            continue
        best = sorted(times[variant])[len(times[variant]) // 2]
        row = {"problem": str(geometry), "direction": direction, "variant": variant, "n_threads": n_threads,
               "seconds": best, "gflops": geometry.operations(direction) / best / 1e9,
               "ratio": ratio(times["peer"], times[variant]) if theirs else None}  # fmt: skip
        rows.append(row)
        shown = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        print(f"{row['problem']:44} {direction:16} {variant:10} {row['gflops']:8.1f} {shown:>16}", flush=True)
    return rows

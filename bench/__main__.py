"""The command: ``python -m bench layers``, and likewise ``padding``, ``accuracy``, ``gemm`` and ``epoch``."""

import argparse
import importlib

from bench import accuracy, epoch, gemm, layers, padding
from convcore import data, kernels, threads


def main():
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("layers", "padding", "accuracy", "gemm", "epoch"), default="layers")
    parser.add_argument("--problems", help="a file of bench/problems by name, any file, or one problem")
    parser.add_argument("--variants", default="im2col,direct", help="comma-separated, or all")
    parser.add_argument("--data", default="mnist", help="for epoch: digits, mnist, ...")
    parser.add_argument("--images", type=int, help="for epoch: only the first images")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=threads.get_num_threads())
    parser.add_argument("--peer", choices=("torch",), help="measure beside it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="per variant and round, for layers")
    parser.add_argument("--json", help="write the rows of layers to this file")
    parser.add_argument("--smoke", action="store_true", help="a few seconds: does everything run?")
    arguments = parser.parse_args()
    peer = importlib.import_module(f"bench.peer_{arguments.peer}") if arguments.peer else None
    if peer:
        peer.use_threads(arguments.threads)
    variants = kernels.variants("conv2d") if arguments.variants == "all" else arguments.variants.split(",")
    if arguments.smoke:
        layers.bench(layers.read_problems("smoke"), kernels.variants("conv2d"), arguments.threads, peer, 1, 0.0)
        padding.bench(layers.read_problems("smoke"), ("im2col", "direct"), arguments.threads, 1, 0.0)
        accuracy.bench(layers.read_problems("smoke"), kernels.variants("conv2d"), arguments.threads)
        epoch.bench(data.load("digits"), 256, 64, arguments.threads, peer, 1)
    elif arguments.what == "epoch":
        epoch.bench(data.load(arguments.data), arguments.images, arguments.batch_size, arguments.threads, peer,
                    arguments.rounds)  # fmt: skip
    elif arguments.what == "accuracy":
        accuracy.bench(layers.read_problems(arguments.problems or "accuracy"), variants, arguments.threads)
    elif arguments.what == "gemm":
        kinds = (arguments.problems or "squares,lenet,resnet,pointwise").split(",")
        gemm.bench(kinds, arguments.threads, arguments.rounds, arguments.seconds)
    elif arguments.what == "padding":
        padding.bench(layers.read_problems(arguments.problems or "padding"), arguments.variants.split(","),
                      arguments.threads, arguments.rounds, arguments.seconds)  # fmt: skip
    else:
        layers.bench(layers.read_problems(arguments.problems or "lenet"), variants, arguments.threads, peer,
                     arguments.rounds, arguments.seconds, arguments.json)  # fmt: skip


if __name__ == "__main__":
    main()

"""The command: ``python -m bench`` and what is to be measured.

The first, also without a word, is ``convcore bench``; ``--smoke`` runs a little of everything.
"""

import argparse
import sys

from bench import accuracy, choice, epoch, gemm, growth, networks, overhead, padding, steady, time_to
from convcore import cli, data, isa, kernels, threads
from convcore.profile import plugins, problems

BENCHES = (
    "layers", "choice", "padding", "accuracy", "gemm", "epoch", "predict", "time-to", "overhead", "growth", "steady"
)  # fmt: skip


def main(arguments):
    if arguments == ["--smoke"]:
        return smoke()
    if not arguments or (arguments[0].startswith("-") and not {"-h", "--help"} & set(arguments)):
        arguments = ["layers", *arguments]
    if arguments[0] == "layers":
        return cli.main(["bench", *arguments[1:]])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=BENCHES)
    parser.add_argument("--problems", help="for padding and accuracy: as convcore bench takes them")
    parser.add_argument("--variants", help="comma-separated; for padding auto, for accuracy all of them if not given")
    parser.add_argument("--seconds", type=float, default=0.2, help="for choice, padding and gemm: per round")
    parser.add_argument("--kinds", default=",".join(gemm.PROBLEMS), help="for gemm: comma-separated")
    parser.add_argument("--data", default="mnist", help="for epoch, predict and time-to: digits, mnist, ...")
    parser.add_argument("--model", default="lenet5", choices=networks.NAMES, help="for epoch, predict and time-to")
    parser.add_argument("--layers", type=int, default=100, help="for choice: how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="for choice")
    parser.add_argument("--accuracy", type=float, default=0.99, help="for time-to")
    parser.add_argument("--epochs", type=int, default=10, help="for time-to (of its schedule) and steady")
    parser.add_argument("--seeds", type=int, default=5, help="for time-to")
    parser.add_argument("--images", type=int, help="for epoch and steady: only the first images")
    parser.add_argument("--batch-sizes", help="for these: comma-separated; 64, for predict 256, if not given")
    parser.add_argument("--peer", choices=("torch",), help="for these: measure beside it")
    parser.add_argument("--plot", help="for growth: a file for a picture")
    parser.add_argument("--threads", type=int, default=threads.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    variants = options.variants.split(",") if options.variants else None
    peer = plugins.peer(options.peer) if options.peer else None
    if peer:
        peer.prepare((isa.DEFAULT,))
    if options.what in ("epoch", "predict", "time-to"):
        sizes = options.batch_sizes or ("256" if options.what == "predict" else "64")
        sizes, loaded = [int(size) for size in sizes.split(",")], data.load(options.data)
        if options.what == "time-to":
            for size in sizes:
                time_to.bench(loaded, options.model, options.accuracy, options.epochs, size, options.threads, peer,
                              options.seeds)  # fmt: skip
        elif options.what == "epoch":
            epoch.bench(loaded, options.model, options.images, sizes, options.threads, peer, options.rounds)
        else:
            epoch.predict(loaded, options.model, sizes, options.threads, peer, options.rounds)
    elif options.what == "overhead":
        overhead.bench(peer, options.rounds)
    elif options.what == "growth":
        growth.bench(options.threads, options.rounds, peer, options.plot)
    elif options.what == "steady":
        steady.bench(data.load(options.data), options.images, options.epochs, options.threads, options.rounds)
    elif options.what == "accuracy":
        accuracy.bench(
            problems.read(options.problems or "accuracy"), variants or kernels.variants("conv2d"), options.threads
        )
    elif options.what == "choice":
        choice.bench(options.seed, options.layers, options.threads, options.rounds, options.seconds)
    elif options.what == "gemm":
        gemm.bench(options.kinds.split(","), options.threads, options.rounds, options.seconds)
    else:
        padding.bench(problems.read(options.problems or "padding"), variants or ("auto",), options.threads,
                      options.rounds, options.seconds)  # fmt: skip
    return 0


def smoke():
    """A few seconds: does everything run?"""
    n_threads = threads.get_num_threads()
    padding.bench(problems.read("smoke"), ("im2col", "direct"), n_threads, 1, 0.0)
    accuracy.bench(problems.read("smoke"), kernels.variants("conv2d"), n_threads)
    digits = data.load("digits")
    epoch.bench(digits, "lenet5", 256, [64], n_threads, None, 1)
    time_to.bench(digits, "lenet5", 0.5, 1, 64, n_threads, None, 1)
    choice.bench(0, 2, n_threads, 1, 0.0)
    overhead.bench(None, 1)
    growth.bench(n_threads, 1, smallest=True)
    steady.bench(digits, 1280, 2, n_threads, 1)
    epoch.predict(digits, "shallow", [256], n_threads, None, 1)
    cli.main(["bench", "--smoke"])  # the last, for it leaves with its exit status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

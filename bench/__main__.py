"""The command: ``python -m bench layers``, ``padding`` or ``epoch``; the first is ``convcore bench``.

Without one of these words it is ``layers``; ``--smoke`` runs a little of everything.
"""

import argparse
import sys

from bench import epoch, padding
from convcore import cli, data, isa, threads
from convcore.profile import plugins, problems


def main(arguments):
    if arguments == ["--smoke"]:
        return smoke()
    if not arguments or (arguments[0].startswith("-") and not {"-h", "--help"} & set(arguments)):
        arguments = ["layers", *arguments]
    if arguments[0] == "layers":
        return cli.main(["bench", *arguments[1:]])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=("layers", "padding", "epoch"))
    parser.add_argument("--problems", default="padding", help="for padding: as convcore bench takes them")
    parser.add_argument("--variants", default="im2col,direct", help="for padding: comma-separated")
    parser.add_argument("--seconds", type=float, default=0.2, help="for padding: per value and round")
    parser.add_argument("--data", default="mnist", help="for epoch: digits, mnist, ...")
    parser.add_argument("--images", type=int, help="for epoch: only the first images")
    parser.add_argument("--batch-size", type=int, default=64, help="for epoch")
    parser.add_argument("--peer", choices=("torch",), help="for epoch: measure beside it")
    parser.add_argument("--threads", type=int, default=threads.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    if options.what == "epoch":
        peer = plugins.peer(options.peer) if options.peer else None
        if peer:
            peer.prepare((isa.DEFAULT,))
        epoch.bench(data.load(options.data), options.images, options.batch_size, options.threads, peer, options.rounds)
    else:
        padding.bench(problems.read(options.problems), options.variants.split(","), options.threads, options.rounds,
                      options.seconds)  # fmt: skip
    return 0


def smoke():
    """A few seconds: does everything run?"""
    padding.bench(problems.read("smoke"), ("im2col", "direct"), threads.get_num_threads(), 1, 0.0)
    epoch.bench(data.load("digits"), 256, 64, threads.get_num_threads(), None, 1)
    cli.main(["bench", "--smoke"])  # the last, for it leaves with its exit status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

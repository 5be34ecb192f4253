"""The command line: ``convcore train``, ``evaluate``, ``predict``, ``summary``, ``doctor``.

Results go to stdout, everything else to stderr. Exit status 0 is success, 2 wrong use, 1 failure; an error is one
line, and ``--debug`` shows its traceback.
"""

import json
import pathlib
import sys
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train LeNet-sized networks on a CPU, and look at every number on the way.\n\n"
    "All commands take --debug, which shows the traceback of an error.",
)


def main(arguments=None):
    """Run the command line and leave the process with its exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        status = typer.main.get_command(app).main(arguments, prog_name="convcore", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 1)
    except BrokenPipeError:  # `convcore … | head`: nobody wants the rest
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        if hasattr(error, "format_message"):  # the parser's own errors: wrong use
            _fail(error.format_message() or "no command given; see convcore --help", 2)
        _fail(str(error) or type(error).__name__, 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(text, status):
    """Print an error on one line and exit."""
    print("convcore: " + " ".join(str(text).split()), file=sys.stderr)
    sys.exit(status)


Data = Annotated[str, typer.Option(help="digits, mnist, fashion-mnist, or a folder of IDX files.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Threads = Annotated[int | None, typer.Option(min=1, max=1024, help="Default: what the machine allows.")]


@app.command(
    epilog="Examples:\n\n"
    "convcore train\n\n"
    "convcore train --data mnist --epochs 3 --out runs/first\n\n"
    "convcore train --resume runs/first\n\n"
    "convcore train --model mynet.py:make --json"
)
def train(
    context: typer.Context,
    data: Data = "digits",
    model: Annotated[str, typer.Option(help="lenet5, or FILE.py:FUNCTION, which returns a Network.")] = "lenet5",
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: 30 for digits, else 10.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    learn_rate: Annotated[float, typer.Option(help="At the start; the schedule lets it fall.")] = 0.05,
    momentum: Annotated[float, typer.Option()] = 0.9,
    l2: Annotated[float, typer.Option(help="L2 regularization of the weights.")] = 5e-4,
    seed: Annotated[int, typer.Option(min=0, help="For first weights and the order of the images.")] = 0,
    threads: Threads = None,
    schedule: Annotated[str, typer.Option(help="cosine, piecewise or none.")] = "cosine",
    out: Annotated[pathlib.Path | None, typer.Option(help="A new folder. Default: runs/NAME-N.")] = None,
    resume: Annotated[pathlib.Path | None, typer.Option(help="Go on with the run in this folder.")] = None,
    as_json: Json = False,
):
    """Train a network; without options LeNet-5 on the bundled digits, which needs no network connection.

    The recipe is SGD with momentum, a mini-batch of 64, the learning rate 0.05 falling to 0 along a cosine over the
    epochs asked for, L2 regularization 0.0005 on the weights, a new order of the images in every epoch. The folder
    of the run then holds model.safetensors, history.csv, checkpoint.safetensors, run.json and, with matplotlib,
    training.png. Ctrl-C ends the run with a checkpoint.
    """
    from convcore import run

    if resume is not None:
        _refuse_with_resume(context)
        settings = run.stored_settings(resume)
    else:
        settings = run.Settings(data, model, epochs, batch_size, learn_rate, momentum, l2, seed, schedule)
    result = run.train(settings, out=out, resume=resume, n_threads=threads)
    if as_json:
        print(json.dumps(result))
    else:
        print(run.text_of(result))
    if result["stopped"] == "interrupted":
        raise typer.Exit(1)


def _refuse_with_resume(context):
    """Refuse options that a resumed run has settled already."""
    for name in set(context.params) - {"resume", "threads", "as_json"}:
        if context.get_parameter_source(name).name == "COMMANDLINE":
            flag = "--" + name.replace("_", "-")
            raise typer.BadParameter(f"{flag} cannot be given with --resume: the run goes on with its own settings")


@app.command(epilog="Example:\n\nconvcore evaluate runs/lenet5-digits-1/model.safetensors --data digits")
def evaluate(
    model: Annotated[pathlib.Path, typer.Argument(help="A model.safetensors.")],
    data: Data = "digits",
    batch_size: Annotated[int, typer.Option(min=1)] = 256,
    threads: Threads = None,
    as_json: Json = False,
):
    """Measure a model on the test images of a data set."""
    import contextlib

    from convcore import data as data_sets
    from convcore.network import load
    from convcore.threads import num_threads
    from convcore.train import evaluate as measure

    network, dataset = load(model), data_sets.load(data)
    with num_threads(threads) if threads else contextlib.nullcontext():
        found = measure(network, dataset.test, batch_size)
    if as_json:
        print(json.dumps({"model": str(model), "data": data, "test_images": len(dataset.test.x),
                          "test_accuracy": found["accuracy"], "test_loss": found["loss"]}))  # fmt: skip
    else:
        print(f"{data}: accuracy {100 * found['accuracy']:.2f} % of {len(dataset.test.x):,} test images, "
              f"loss {found['loss']:.4f}")  # fmt: skip


@app.command(
    epilog="Examples:\n\n"
    "convcore predict model.safetensors seven.png --invert\n\n"
    "convcore predict model.safetensors t10k-images-idx3-ubyte.gz"
)
def predict(
    model: Annotated[pathlib.Path, typer.Argument(help="A model.safetensors.")],
    images: Annotated[list[pathlib.Path], typer.Argument(help="PNG, JPEG, IDX or .npy files.")],
    invert: Annotated[bool, typer.Option("--invert", help="For dark strokes on light paper.")] = False,
    as_json: Json = False,
):
    """Print the class of each image and its probability."""
    from convcore import run
    from convcore.data.images import read_images
    from convcore.network import load

    network = load(model)
    if network.input_shape is None or len(network.input_shape) != 3:
        raise ValueError(f"predict: {model} takes {network.input_shape}, not images")
    batches = [(path, read_images(path, network.input_shape, invert=invert)) for path in images]
    for path, batch in batches:
        for number, probabilities in enumerate(network.predict(batch)):
            best = int(probabilities.argmax())
            name = run.class_name(network, best)
            where = str(path) if len(batch) == 1 else f"{path}[{number}]"
            if as_json:
                row = {"image": where, "class": best, "name": name, "probability": float(probabilities[best])}
                print(json.dumps(row))
            else:
                print(f"{where}: {name} ({100 * probabilities[best]:.1f} %)")


@app.command(epilog="Examples:\n\nconvcore summary lenet5\n\nconvcore summary runs/lenet5-digits-1/model.safetensors")
def summary(
    model: Annotated[str, typer.Argument(help="A model.safetensors, a name such as lenet5, or FILE.py:FUNCTION.")],
    as_json: Json = False,
):
    """Print a network's layers, activations, learnables and multiply-adds."""
    from convcore import run

    table = run.network_of(model).summary()
    if as_json:
        print(json.dumps({"layers": table.rows, "totals": table.totals, "problems": table.problems}))
    else:
        print(table)


@app.command(epilog="Example:\n\nconvcore doctor")
def doctor(as_json: Json = False):
    """Print what convcore found on this machine: instruction sets, threads, OpenMP, caches, and why."""
    from convcore.doctor import report

    found = report()
    if as_json:
        print(json.dumps(found))
        return
    for section, rows in found.items():
        print(section)
        for name, words in rows.items():
            print(f"  {name:18} {words}")

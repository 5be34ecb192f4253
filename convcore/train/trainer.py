"""The training loop: batches in, a trained network and its history out."""

import contextlib
import functools
import math
import pathlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np

from convcore.autograd import paused
from convcore.checks import BOOLS, flag, number, positive_number
from convcore.data import Augment, epoch_order, num_batches
from convcore.data.batches import count_of, take
from convcore.network import Network
from convcore.ops.incoming import Incoming
from convcore.optim import SOLVERS, learn_rate_function
from convcore.threads import num_threads
from convcore.train import fingerprint, resumption
from convcore.train.checkpoint import Checkpoint, load_checkpoint, prepare_folder, save_checkpoint
from convcore.train.gradients import Gradients
from convcore.train.history import ROW, History
from convcore.train.interrupt import Interruption
from convcore.train.objective import Objective, initialize
from convcore.train.options import TrainingOptions
from convcore.train.progress import reporter
from convcore.train.progress_page import ProgressPage
from convcore.train.validation import Validation

# These keep the draws of one purpose apart from whatever else is drawn from the same seed: "drop", "augm", "popu".
DROPOUT_STREAM, AUGMENT_STREAM, POPULATION_STREAM = 0x64726F70, 0x6175676D, 0x706F7075

REMEDY = "a lower learning rate or a gradient_threshold may help"


class TrainingError(RuntimeError):
    """Training cannot go on: the loss or the weights are not finite."""


@dataclass(frozen=True)
class Iteration:
    """What a callback is given after each iteration.

    Attributes
    ----------
    epoch, iteration : int, from 1
    loss, accuracy : float
        Of the mini-batch before its update; the accuracy is None where there are no classes.
    learn_rate : float
    seconds : float
        Since the start, earlier sessions of a resumed run included.
    validation_loss, validation_accuracy : float or None
        None unless this iteration was followed by a validation.
    network : Network
        Being trained: read it, do not change it.
    history : History
        Up to this iteration.

    Notes
    -----
    What a callback does through `scale_learn_rate` and `log` is stored in checkpoints, so a resumed run goes on with
    it. What a callback remembers by itself is not: decide by what stands in `history`, and a resumed run gives the
    same bits as one without interruption.
    """

    epoch: int
    iteration: int
    loss: float
    accuracy: float | None
    learn_rate: float
    seconds: float
    validation_loss: float | None
    validation_accuracy: float | None
    network: Network = field(repr=False)
    history: History = field(repr=False)
    _scale: Callable = field(repr=False)

    def scale_learn_rate(self, factor):
        """Multiply the learning rate of all later iterations, whatever the schedule says, by `factor`.

        Raises
        ------
        TypeError, ValueError
            A factor that is no finite number greater than 0.
        """
        self._scale(positive_number(factor, "scale_learn_rate: factor"))

    def log(self, name, value):
        """Add a number to the history's row of this iteration, in a column `name` of one's own.

        Raises
        ------
        TypeError, ValueError
            A name that is no identifier, or that the history has for itself; a value that is no number.
        """
        if not isinstance(name, str) or not name.isidentifier() or name in ROW:
            raise ValueError(f"log: name must be an identifier that is no column of every history, got {name!r}")
        self.history.note(name, number(value, f"log: {name}"))


def train(net, data, loss=None, options=None, *, resume=None, reset_input_normalization=False):
    """Train a network, in place.

    In each iteration: the mean loss over a mini-batch, its gradient by the tape, and a step of the solver. Training
    goes on from the network's present weights (initial ones, if it has none yet) with a new solver: zero velocity.

    Parameters
    ----------
    net : Network
        Or None with `resume`: then the network is built from the checkpoint; ``history.network`` is it.
    data : (x, y), Split or Dataset
        Observations, shape (N, ...), and targets: for "crossentropy" integer labels (N,) or probabilities (N, K), where
        the network classifies each time step (N, T) or (N, K, T), each pixel (N, H, W) or (N, K, H, W); for the other
        names of the shape of the network's output. uint8 images stay uint8; only a mini-batch at a time is
        converted. For a network with several inputs, x is a tuple of arrays; with several outputs, so is y. Of a
        Dataset, the training split.
    loss : {"crossentropy", "mse", "half_mse", "mae", "huber"} or function, optional
        "crossentropy" needs a network that ends in Softmax and is computed from the logits; the other names are those
        of the functions. A function is called as ``loss(y, t)`` with the network's output, a Tensor, and the targets
        of the batch, an array (or with tuples of these); it returns a Tensor with one element. By default, the loss
        of the network's output layer: "crossentropy" behind Softmax or ClassificationOutput, behind RegressionOutput
        half the squared error. Several outputs need a function.
    options : TrainingOptions, optional
        The defaults; with `resume`, those of the checkpoint, which is then written to the folder it came from.
    resume : str or path-like, optional
        A checkpoint, or the folder with it. The run goes on after the checkpoint's last iteration, in the middle of
        an epoch too, and gives the same bits as one that was never interrupted. Data, loss and the options that
        decide over the bits must be the same; `max_epochs` may be another.
    reset_input_normalization : bool
        Compute ImageInput's statistics anew from this data, although it has some.

    Returns
    -------
    History
        Its ``stopped`` is "finished", "patience", "callback", or "interrupted".

    Raises
    ------
    TypeError, ValueError
        Before any work: data that is empty, of different lengths, with labels that are no class of the network; a
        loss that does not fit the network; a checkpoint that does not fit the rest.
    TrainingError
        The loss or the weights are not finite; the text names the iteration, the first layer whose output is not
        finite, and the last good checkpoint.

    Notes
    -----
    Ctrl-C finishes the current iteration, writes a checkpoint if there is a `checkpoint_path`, and returns; pressed
    twice it raises KeyboardInterrupt at once. The same seed gives the same bits for any number of threads, on the
    same instruction-set level.

    Examples
    --------
    >>> from convcore.layers import FullyConnected, ImageInput, Softmax
    >>> x, y = np.eye(4).reshape(4, 1, 2, 2), np.array([0, 1, 0, 1])
    >>> net = Network([ImageInput((1, 2, 2), normalization="none"), FullyConnected(2), Softmax()])
    >>> history = train(net, (x, y), options=TrainingOptions("sgdm", max_epochs=20, mini_batch_size=4,
    ...                                                      initial_learn_rate=1.0, verbose=False))
    >>> history.stopped, history.final["accuracy"]
    ('finished', 1.0)
    """
    if options is not None and not isinstance(options, TrainingOptions):
        raise TypeError(f"train: options must be TrainingOptions, got {type(options).__name__}")
    reset_input_normalization = flag(reset_input_normalization, "train: reset_input_normalization")
    checkpoint = None if resume is None else load_checkpoint(resume)
    if checkpoint is not None:
        options = resumption.options(options, checkpoint, resume)
        if net is None:
            with resumption.naming(resume):
                net = checkpoint.network()
    options = TrainingOptions() if options is None else options
    if not isinstance(net, Network):
        raise TypeError(f"train: net must be a Network, got {type(net).__name__}")
    with contextlib.nullcontext() if options.n_threads is None else num_threads(options.n_threads):
        run = _Run(net, data.train if hasattr(data, "train") else data, loss, options)
        if checkpoint is None:
            net.fit_normalization(run.x, reset=reset_input_normalization)
        else:
            run.restore(checkpoint, resume)
        return run.go()


class _Run:
    """One call of `train`: everything that lives as long as it."""

    def __init__(self, net, data, loss, options):
        initialize(net, data, "train: data")
        self.net, self.options = net, options
        self.draws_random_numbers = net.draws_random_numbers
        self.objective = Objective(net, loss, "train")
        self.x, self.y = self.objective.pair(data, "data")
        self.per_epoch = num_batches(count_of(self.x), options.mini_batch_size, options.drop_last)
        if self.per_epoch == 0:
            sizes = f"{count_of(self.x):,} observations, mini_batch_size {options.mini_batch_size:,}"
            raise ValueError(f"train: drop_last leaves no mini-batch ({sizes})")
        self.num_iterations = options.max_epochs * self.per_epoch
        self.learn_rate = learn_rate_function(
            options.learn_rate_schedule, initial_learn_rate=options.initial_learn_rate,
            drop_factor=options.learn_rate_drop_factor, drop_period=options.learn_rate_drop_period,
            final_learn_rate=options.final_learn_rate, power=options.polynomial_power,
            warmup_factor=options.warmup_factor,
            warmup_iterations=options.warmup_period * (self.per_epoch if options.warmup_unit == "epochs" else 1),
            num_iterations=self.num_iterations,
        )  # fmt: skip
        self.learn_rate_scale = 1.0  # what callbacks have made of the schedule's rate
        self.optimizer = SOLVERS[options.solver](
            net.parameters(), l2_regularization=options.l2_regularization,
            gradient_threshold=options.gradient_threshold,
            gradient_threshold_method=options.gradient_threshold_method, **options.solver_options,
        )  # fmt: skip
        self.gradients = Gradients(self.objective, net.parameters())
        self.history = History()
        self.history.network = net
        self.validation = None if options.validation_data is None else Validation(self.objective, options)
        if options.output_network == "best-validation" and self.validation is None:
            raise ValueError("TrainingOptions: output_network best-validation needs validation_data")
        if options.metrics and self.validation is None:
            raise ValueError("TrainingOptions: metrics need validation_data")
        self.saved = "there is no checkpoint"  # how errors speak of the last good one
        self.saved_iteration = None
        if options.checkpoint_path is not None:
            options.to_json(), net.architecture()  # what cannot be stored is better known before the work than after
            self.folder = prepare_folder(options.checkpoint_path)
        self.page = ProgressPage(options.checkpoint_path) if options.plots == "training-progress" else None

    @functools.cached_property
    def data_fingerprint(self):
        """What the data is recognised by."""
        return fingerprint.of_data(self.x, self.y)

    def restore(self, checkpoint, path):
        """Set weights, the optimizer's state and history to those of a checkpoint, after a comparison."""
        resumption.compare(checkpoint, path, net=self.net, loss=self.objective.name, data=self.data_fingerprint)
        with resumption.naming(path):
            self.net.load_arrays(checkpoint.arrays)
            self.optimizer.load_state(checkpoint.optimizer_state)
        self.learn_rate_scale = checkpoint.learn_rate_scale
        self.history = checkpoint.history
        self.history.network = self.net
        if self.validation is not None:
            self.validation.restore(checkpoint)
        self.saved = f"the last good checkpoint is {path} (iteration {checkpoint.iteration}, epoch {checkpoint.epoch})"

    def go(self):
        """Make the iterations that are left, and what comes after the last."""
        self.optimizer.zero_grad()  # whatever gradients the user has left
        before = self.history.row(-1)["seconds"] if len(self.history) else 0.0
        self.start = time.perf_counter() - before
        self.interruption = Interruption()
        with self.interruption:
            with reporter(self.options, self.options.max_epochs, self.num_iterations, len(self.history)) as shown:
                stopped = self._iterations(shown)
            self._check_weights()
            if self.options.checkpoint_path is not None:
                self._save()
            if self.options.output_network == "best-validation" and self.validation.best_arrays:
                self.net.load_arrays(self.validation.best_arrays)
            if self.options.batch_normalization_statistics == "population" and stopped != "interrupted":
                self._population_statistics()
            if self.interruption.requested:  # perhaps after the last iteration: whoever pressed Ctrl-C shall know
                stopped = "interrupted"
                self._report_interruption()
        self.history.stopped = stopped
        if self.page is not None:
            self.page.update(self.history, stopped)
        return self.history

    def _iterations(self, shown):
        """Make iterations until something stops them, and return what did."""
        iteration = len(self.history)
        while iteration < self.num_iterations:
            if self.validation is not None and self.validation.exhausted:
                return "patience"
            epoch, start = divmod(iteration, self.per_epoch)
            for x, y in self._mini_batches(epoch, start):
                iteration += 1
                self._step(x, y, epoch + 1, iteration)
                stopped = self._after_step(count_of(x), epoch + 1, iteration, shown)
                if stopped is not None:
                    return stopped
            if (epoch + 1) % self.options.checkpoint_frequency == 0 and self.options.checkpoint_path is not None:
                self._save()
        return "finished"

    def _mini_batches(self, epoch, start):
        """Iterate over the mini-batches of an epoch (from 0), from number `start` on."""
        size = self.options.mini_batch_size
        order = epoch_order(count_of(self.x), self.options.shuffle, self.options.seed, epoch)
        for first in range(start * size, self.per_epoch * size, size):
            part, several = order[first : first + size], isinstance(self.x, tuple)
            yield take(self.x, part) if several else Incoming(self.x, self.net.dtype, part), take(self.y, part)

    def _step(self, x, y, epoch, iteration):
        """Update the weights by the gradient of one mini-batch, and add a row to the history."""
        rate = self.learn_rate(iteration, epoch) * self.learn_rate_scale
        if self.options.augment is not None:
            x = self._augmented(x, iteration)
        value, hits = self.gradients.compute(x, y, self._dropout_generator(iteration))
        if not math.isfinite(value):
            self.optimizer.zero_grad()
            raise TrainingError(
                f"train: the loss is {value} at iteration {iteration} (epoch {epoch}): {self._cause(x, y, iteration)}; "
                f"{self.saved}"
            )
        with num_threads(1) if self.gradients.too_small_to_share else contextlib.nullcontext():
            self.optimizer.step(rate)
        self.optimizer.zero_grad()
        accuracy = None if hits is None else self.objective.share(hits, y)
        self.history.append(epoch, iteration, count_of(x), time.perf_counter() - self.start, value, accuracy, rate)

    def _generator(self, *stream):
        """Return a generator that depends on seed and stream alone, so that a checkpoint needs no state of it."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.options.seed, spawn_key=stream)))

    def _dropout_generator(self, iteration):
        return self._generator(DROPOUT_STREAM, iteration) if self.draws_random_numbers else None

    def _augmented(self, x, iteration):
        """Return a mini-batch changed at random, as the options say."""
        augment, rng = self.options.augment, self._generator(AUGMENT_STREAM, iteration)
        if type(augment) is Augment and isinstance(x, Incoming) and x.ndim == 4:
            return x.moved(augment.transforms(len(x), x.shape[2:], rng), augment.fill)
        x = x.observations() if isinstance(x, Incoming) else x
        result = augment(x, rng)
        wanted, got = (tuple(map(np.shape, a)) if isinstance(a, tuple) else np.shape(a) for a in (x, result))
        if wanted != got:
            what = "arrays of the shapes" if isinstance(x, tuple) else "an array of shape"
            raise ValueError(f"train: augment must return {what} {wanted}, got {got}")
        return result

    def _after_step(self, images, epoch, iteration, shown):
        """Validate, measure, tell the callbacks, show the progress; return why to stop, or None."""
        last = iteration == self.num_iterations
        validated = self.validation is not None and self.validation.due(iteration, self.num_iterations)
        if validated:
            self._validate()
        stopped = None
        if self.options.callbacks and self._call_back():
            stopped = "callback"
            if self.validation is not None and not validated:  # the end came unannounced
                self._validate()
                validated = True
        elif validated and self.validation.exhausted and not last:
            stopped = "patience"
        elif self.interruption.requested:
            stopped = "interrupted"
        epoch_ends = iteration % self.per_epoch == 0
        report = validated or epoch_ends or iteration == 1 or iteration % self.options.verbose_frequency == 0
        if report:
            self.history.note("regularization", self.optimizer.regularization())
        shown.update(lambda: self.history.row(-1), images, report)
        if self.page is not None:
            self.page.update(self.history)
        return stopped

    def _validate(self):
        self._note(self.validation.validate())

    def _note(self, found):
        """Add what a validation has found to the last row of the history."""
        self.history.confusion_matrix = found.pop("confusion_matrix")
        del found["images"]
        for name, value in found.items():
            self.history.note(f"validation_{name}", value)

    def _population_statistics(self):
        """Let batch normalization compute its statistics anew from the training data, and validate what comes of it.

        The checkpoint was written before, with the moving statistics: a run that is carried on goes on with those.
        """
        layers = [layer for layer in self.net.layers if hasattr(layer, "begin_population_statistics")]
        if not layers:
            return
        rng = self._generator(POPULATION_STREAM)
        try:
            for layer in layers:
                layer.begin_population_statistics()
            with paused():
                for start in range(0, count_of(self.x), self.options.mini_batch_size):
                    part = slice(start, start + self.options.mini_batch_size)
                    self.net.forward(take(self.x, part), training=True, rng=rng)
        except BaseException:  # a second Ctrl-C, too: the network must not go on gathering
            for layer in layers:
                layer.cancel_population_statistics()
            raise
        for layer in layers:
            layer.end_population_statistics()
        if self.validation is not None and len(self.history):
            self._note(self.validation.measure())

    def _call_back(self):
        """Call all callbacks; return whether one of them wants to stop."""
        row = self.history.row(-1)
        values = {entry.name: row[entry.name] for entry in fields(Iteration) if entry.name in row}
        info = Iteration(**values, network=self.net, history=self.history, _scale=self._scale_learn_rate)
        answers = [callback(info) for callback in self.options.callbacks]
        return any((isinstance(a, BOOLS) and bool(a)) or (isinstance(a, str) and a == "stop") for a in answers)

    def _scale_learn_rate(self, factor):
        self.learn_rate_scale *= factor

    def _save(self):
        """Write a checkpoint, unless the file holds this very iteration."""
        if self.saved_iteration == len(self.history):
            return
        self._check_weights()
        validation = self.validation
        checkpoint = Checkpoint(
            architecture=self.net.architecture(),
            arrays=self.net.arrays(),
            optimizer_state=self.optimizer.state(),
            best_arrays=validation.best_arrays if validation else {},
            best_loss=validation.best_loss if validation else math.inf,
            validations_without_progress=validation.without_progress if validation else 0,
            learn_rate_scale=self.learn_rate_scale,
            history=self.history,
            options=self.options,
            loss=self.objective.name,
            iterations_per_epoch=self.per_epoch,
            data=self.data_fingerprint,
            validation=validation.fingerprint if validation else None,
            program=fingerprint.of_program(),
        )
        path = save_checkpoint(self.folder, checkpoint)
        self.saved = f"the last good checkpoint is {path} (iteration {checkpoint.iteration}, epoch {checkpoint.epoch})"
        self.saved_iteration = checkpoint.iteration

    def _check_weights(self):
        """Raise a TrainingError if an update has made a parameter other than finite: such weights are never saved."""
        for name, parameter in self.net.parameters().items():
            if not np.isfinite(parameter.data).all():
                row = self.history.row(-1)
                when = f"after iteration {row['iteration']} (epoch {row['epoch']})"
                raise TrainingError(f"train: {name} is not finite {when} ({REMEDY}); {self.saved}")

    def _cause(self, x, y, iteration):
        """Return in words where the first number that is not finite comes from."""
        seen = x.observations() if isinstance(x, Incoming) else x
        for what, given in (("observations", seen), ("targets", y)):
            arrays = given if isinstance(given, tuple) else (given,)
            if any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in arrays):
                return f"the {what} of the mini-batch are not finite"
        layer = self.net.non_finite_layer(x, training=True, rng=self._dropout_generator(iteration))
        if layer is None:
            return "the outputs of all layers are finite, what the loss makes of them is not"
        return f"the first output that is not finite is that of layer {layer!r} ({REMEDY})"

    def _report_interruption(self):
        row = self.history.row(-1) if len(self.history) else {"iteration": 0, "epoch": 0}
        where = f"interrupted after iteration {row['iteration']} (epoch {row['epoch']})"
        if self.options.checkpoint_path is None:
            print(f"{where}; no checkpoint_path was given, so nothing was saved", file=sys.stderr)
        else:
            print(f"{where}; resume from {pathlib.Path(self.options.checkpoint_path)}", file=sys.stderr)

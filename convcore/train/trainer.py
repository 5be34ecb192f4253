"""The training loop: batches in, a trained network and its history out."""

import contextlib
import functools
import math
import pathlib
import sys
import time
from typing import NamedTuple

import numpy as np

from convcore.autograd import Tape
from convcore.data import batches, epoch_order, num_batches
from convcore.network import Network
from convcore.optim import SGD, learn_rate_function
from convcore.checks import BOOLS, flag
from convcore.threads import num_threads
from convcore.train import fingerprint, resumption
from convcore.train.checkpoint import Checkpoint, load_checkpoint, prepare_folder, save_checkpoint
from convcore.train.history import History
from convcore.train.interrupt import Interruption
from convcore.train.objective import Objective, observations
from convcore.train.options import TrainingOptions
from convcore.train.progress import reporter
from convcore.train.validation import Validation

DROPOUT_STREAM = 0x64726F70  # "drop": keeps these draws apart from whatever else is drawn from the same seed


class TrainingError(RuntimeError):
    """Training cannot go on: the loss or the weights are not finite."""


class Iteration(NamedTuple):
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
    """

    epoch: int
    iteration: int
    loss: float
    accuracy: float | None
    learn_rate: float
    seconds: float
    validation_loss: float | None
    validation_accuracy: float | None
    network: Network
    history: History


def train(net, data, loss="crossentropy", options=None, *, resume=None, reset_input_normalization=False):
    """Train a network, in place.

    In each iteration: the mean loss over a mini-batch, its gradient by the tape, and a step of `SGD`. Training goes on
    from the network's present weights (initial ones, if it has none yet) with zero velocity.

    Parameters
    ----------
    net : Network
        Or None with `resume`: then the network is built from the checkpoint; ``history.network`` is it.
    data : (x, y), Split or Dataset
        Observations, shape (N, ...), and targets: for "crossentropy" integer labels (N,) or probabilities (N, K), for
        "mse" of the shape of the network's output. uint8 images stay uint8; only a mini-batch at a time is converted.
        Of a Dataset, the training split.
    loss : {"crossentropy", "mse"} or function
        "crossentropy" needs a network that ends in Softmax and is computed from the logits. A function is called as
        ``loss(y, t)`` with the network's output, a Tensor, and the targets of the batch, an array; it returns a
        Tensor with one element.
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
        x, _ = observations(data, "train: data")
        net.initialize(x.shape[1:])
        self.net, self.options = net, options
        self.draws_random_numbers = net.draws_random_numbers
        self.objective = Objective(net, loss, "train")
        self.x, self.y = self.objective.pair(data, "data")
        self.per_epoch = num_batches(len(self.x), options.mini_batch_size, options.drop_last)
        if self.per_epoch == 0:
            sizes = f"{len(self.x):,} observations, mini_batch_size {options.mini_batch_size:,}"
            raise ValueError(f"train: drop_last leaves no mini-batch ({sizes})")
        self.num_iterations = options.max_epochs * self.per_epoch
        self.learn_rate = learn_rate_function(
            options.learn_rate_schedule, initial_learn_rate=options.initial_learn_rate,
            drop_factor=options.learn_rate_drop_factor, drop_period=options.learn_rate_drop_period,
            num_iterations=self.num_iterations,
        )  # fmt: skip
        self.optimizer = SGD(
            net.parameters(), momentum=options.momentum, l2_regularization=options.l2_regularization,
            gradient_threshold=options.gradient_threshold,
            gradient_threshold_method=options.gradient_threshold_method,
        )  # fmt: skip
        self.history = History()
        self.history.network = net
        self.validation = None if options.validation_data is None else Validation(self.objective, options)
        if options.output_network == "best-validation" and self.validation is None:
            raise ValueError("TrainingOptions: output_network best-validation needs validation_data")
        self.saved = "there is no checkpoint"  # how errors speak of the last good one
        self.saved_iteration = None
        if options.checkpoint_path is not None:
            options.to_json(), net.architecture()  # what cannot be stored is better known before the work than after
            self.folder = prepare_folder(options.checkpoint_path)

    @functools.cached_property
    def data_fingerprint(self):
        """What the data is recognised by."""
        return fingerprint.of_data(self.x, self.y)

    def restore(self, checkpoint, path):
        """Set weights, velocities and history to those of a checkpoint, after comparing what must be the same."""
        resumption.compare(checkpoint, path, net=self.net, loss=self.objective.name, data=self.data_fingerprint)
        with resumption.naming(path):
            self.net.load_arrays(checkpoint.arrays)
            self.optimizer.load_state(checkpoint.velocities)
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
            if self.interruption.requested:  # perhaps after the last iteration: whoever pressed Ctrl-C shall know
                stopped = "interrupted"
                self._report_interruption()
        self.history.stopped = stopped
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
                stopped = self._after_step(len(x), epoch + 1, iteration, shown)
                if stopped is not None:
                    return stopped
            if (epoch + 1) % self.options.checkpoint_frequency == 0 and self.options.checkpoint_path is not None:
                self._save()
        return "finished"

    def _mini_batches(self, epoch, start):
        """Iterate over the mini-batches of an epoch (from 0), from number `start` on."""
        size = self.options.mini_batch_size
        if self.options.shuffle == "never":  # views: nothing is copied
            parts = (slice(number * size, (number + 1) * size) for number in range(start, self.per_epoch))
            return ((self.x[part], self.y[part]) for part in parts)
        order = epoch_order(len(self.x), self.options.shuffle, self.options.seed, epoch)
        return batches(self.x, self.y, order, size, self.options.drop_last, start)

    def _step(self, x, y, epoch, iteration):
        """Update the weights by the gradient of one mini-batch, and add a row to the history."""
        rate = self.learn_rate(iteration, epoch)
        with Tape() as tape:
            loss, output = self.objective.forward(x, y, training=True, rng=self._generator(iteration))
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"train: the loss is {value} at iteration {iteration} (epoch {epoch}): {self._cause(x, y, iteration)}; "
                f"{self.saved}"
            )
        tape.backward(loss)
        self.optimizer.step(rate)
        self.optimizer.zero_grad()
        correct = self.objective.num_correct(output, y)
        accuracy = None if correct is None else correct / len(x)
        self.history.append(epoch, iteration, len(x), time.perf_counter() - self.start, value, accuracy, rate)

    def _generator(self, iteration):
        """Return the generator for Dropout: a function of the iteration, so that a checkpoint needs no state of it."""
        if not self.draws_random_numbers:
            return None
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence(self.options.seed, spawn_key=(DROPOUT_STREAM, iteration)))
        )

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
        return stopped

    def _validate(self):
        result = self.validation.measure()
        self.history.note("validation_loss", result["loss"])
        self.history.note("validation_accuracy", result["accuracy"])

    def _call_back(self):
        """Call all callbacks; return whether one of them wants to stop."""
        row = self.history.row(-1)
        values = {name: row[name] for name in Iteration._fields if name in row}
        info = Iteration(**values, network=self.net, history=self.history)
        answers = [callback(info) for callback in self.options.callbacks]
        return any((isinstance(a, BOOLS) and bool(a)) or (isinstance(a, str) and a == "stop") for a in answers)

    def _save(self):
        """Write a checkpoint, unless the file holds this very iteration."""
        if self.saved_iteration == len(self.history):
            return
        self._check_weights()
        validation = self.validation
        checkpoint = Checkpoint(
            architecture=self.net.architecture(),
            arrays=self.net.arrays(),
            velocities=self.optimizer.state(),
            best_arrays=validation.best_arrays if validation else {},
            best_loss=validation.best_loss if validation else math.inf,
            validations_without_progress=validation.without_progress if validation else 0,
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
                raise TrainingError(f"train: {name} is not finite {when}; {self.saved}")

    def _cause(self, x, y, iteration):
        """Return in words where the first number that is not finite comes from."""
        for what, array in (("observations", x), ("targets", y)):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return f"the {what} of the mini-batch are not finite"
        layer = self.net.non_finite_layer(x, training=True, rng=self._generator(iteration))
        if layer is None:
            return "the outputs of all layers are finite, what the loss makes of them is not"
        return f"the first output that is not finite is that of layer {layer!r}"

    def _report_interruption(self):
        row = self.history.row(-1) if len(self.history) else {"iteration": 0, "epoch": 0}
        where = f"interrupted after iteration {row['iteration']} (epoch {row['epoch']})"
        if self.options.checkpoint_path is None:
            print(f"{where}; no checkpoint_path was given, so nothing was saved", file=sys.stderr)
        else:
            print(f"{where}; resume from {pathlib.Path(self.options.checkpoint_path)}", file=sys.stderr)

"""The bench: problems × directions × variants × levels × threads, each result checked, then timed beside a peer."""

import statistics
from dataclasses import asdict, dataclass

import numpy as np

from convcore import isa, kernels, threads
from convcore.kernels import registry
from convcore.kernels.dispatch import selected
from convcore.profile import accuracy, problems, roofline, timing

DIRECTIONS = ("forward", "backward_input", "backward_weight")
SINGLE = np.dtype(np.float32)
THEIRS = object()  # beside the names of variants: the peer
PEER_MAY_ROUND = 16  # times the bound of ours: whoever is further off computes another problem


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Parameters
    ----------
    problems : tuple of ConvGeometry
    variants : tuple of str
        "auto", what a user gets; names of variants; "all", all of them but the reference.
    directions : tuple of str
    levels : tuple of str
    threads : tuple of int
    rounds : int
    seconds : float
        Per variant and round.
    """

    problems: tuple
    variants: tuple = ("auto",)
    directions: tuple = DIRECTIONS
    levels: tuple = (isa.DEFAULT,)
    threads: tuple = (1,)
    rounds: int = 5
    seconds: float = 0.1

    def __post_init__(self):
        empty = [str(geometry) for geometry in self.problems if not geometry.batch]
        if empty:
            raise ValueError(f"bench: {empty[0]} has no images, there is nothing to time")
        known = {name for geometry in self.problems for name in kernels.variants(geometry.op)}
        for name in self.variants:
            if name not in ("all", "auto", *known):
                names = ", ".join(["all", "auto", *sorted(known)])
                raise ValueError(f"bench: variants must be one or more of {names}, got {name!r}")

    def variants_of(self, geometry):
        """Return the names to measure a problem with, each once."""
        every = [name for name in kernels.variants(geometry.op) if name != "reference"]
        asked = [name for one in self.variants for name in (every if one == "all" else [one])]
        return [name for name in dict.fromkeys(asked) if name in ("auto", "reference", *every)]

    def as_json(self):
        """Return the plan in the types that JSON has."""
        return {**asdict(self), "problems": [str(geometry) for geometry in self.problems]}


def rows_of(plan, peer=None, roofs=None):
    """Measure a plan; yield a row for each figure, as soon as it is there.

    Parameters
    ----------
    plan : Plan
    peer : module, optional
        See `plugins.peer`; prepared.
    roofs : roofline.Roofs, optional

    Yields
    ------
    dict
        JSON-able. A figure that cannot be right has a reason under "refused", and no numbers.
    """
    roofs = roofs or roofline.Roofs()
    for geometry in plan.problems:
        arrays = accuracy.arrays_of(geometry)
        for direction in plan.directions:
            case = Pass(geometry, direction, arrays, peer)
            for level in plan.levels:
                for n_threads in plan.threads:
                    yield from case.rows(plan, level, n_threads, roofs)


class Pass:
    """One direction of one problem, with what does not depend on variant, level and threads."""

    def __init__(self, geometry, direction, arrays, peer=None):
        self.geometry, self.direction, self.peer = geometry, direction, peer
        self.inputs = [arrays[name] for name in geometry.SIGNATURES[direction][0]]
        self.right = accuracy.RightResult(geometry, direction, arrays)
        self.theirs, self.no_peer = None, None
        if peer:
            theirs = peer.convolution(direction, geometry, arrays)
            self.theirs, self.no_peer = (theirs, None) if callable(theirs) else (None, theirs)
        if self.theirs:
            few = peer.convolution(direction, self.right.geometry, self.right.arrays)
            self.right.compare(np.asarray(few()), self.right.allowed(PEER_MAY_ROUND), "the peer")

    def rows(self, plan, level, n_threads, roofs):
        """Yield the rows of all variants at one level with some threads, timed in turn with the peer."""
        accurate, functions = {}, {}
        for variant in plan.variants_of(self.geometry):
            name = self._computed_by(variant, level)
            if name is None:
                continue
            try:
                accurate[variant] = (name, *self.right.check(name, level))
            except accuracy.Wrong as error:
                yield {**self._case(variant, name, level, n_threads), "refused": str(error)}
                continue
            functions[variant] = self._call(None if variant == "auto" else variant, level)
        if not functions:
            return
        if self.theirs:
            self.peer.use_threads(n_threads)
            functions[THEIRS] = self.theirs
        with threads.num_threads(n_threads):  # and not n_threads=: a user's tiny problems run on fewer
            times = timing.in_turn(functions, plan.rounds, plan.seconds)
        for variant, (name, error, allowed) in accurate.items():
            row = self._case(variant, name, level, n_threads)
            row |= {"error": error, "error_allowed": allowed, "checked_against": self.right.source}
            row |= self._figures(times[variant], times.get(THEIRS))
            yield self._under_the_roof(row, level, n_threads, roofs)

    def _computed_by(self, variant, level):
        """Return the name of the variant that a name, or "auto", stands for; None where it refuses the problem."""
        op = self.geometry.op
        if variant == "auto":
            return selected(op, self.direction, self.geometry, SINGLE, level=level)[0]
        refused = kernels.refusal(op, variant, self.direction, self.geometry, SINGLE, level)
        return None if refused else variant

    def _call(self, variant, level):
        op, direction, geometry, inputs = self.geometry.op, self.direction, self.geometry, self.inputs
        return lambda: kernels.run(op, direction, geometry, *inputs, variant=variant, level=level)

    def _case(self, variant, name, level, n_threads):
        """Return the part of a row that says what was measured."""
        return {
            "problem": str(self.geometry), "kind": problems.kind_of(self.geometry), "direction": self.direction,
            "variant": variant, "computed_by": name, "level": level, "n_threads": n_threads,
        }  # fmt: skip

    def _figures(self, ours, theirs):
        """Return the part of a row that was timed."""
        seconds, operations = statistics.median(ours), self.geometry.operations(self.direction)
        moved = roofline.bytes_moved(self.geometry, self.direction)
        ratios = timing.ratios(theirs, ours) if theirs else None
        return {
            "seconds": seconds, "spread": timing.spread(ours), "seconds_per_round": ours,
            "operations": operations, "bytes": moved, "intensity": operations / moved,
            "gflops": operations / seconds / 1e9,
            "peer_seconds": statistics.median(theirs) if theirs else None, "peer_seconds_per_round": theirs,
            "ratio": statistics.median(ratios) if ratios else None,
            "ratio_spread": timing.spread(ratios) if ratios else None, "no_peer": self.no_peer,
        }  # fmt: skip

    def _under_the_roof(self, row, level, n_threads, roofs):
        """Return the row with its limit; or without its figures, if they are above what the processor can do."""
        op, name = self.geometry.op, row["computed_by"]
        factor = registry.rounding_factor(op, name, level, (self.direction, self.geometry, SINGLE))
        effective = factor != 1  # by fewer products than the definition's
        done = roofline.fewest_operations(self.geometry, self.direction) / row["seconds"] / 1e9
        if not effective and roofs.exceeded(level, n_threads, done):
            peak = roofs.of(level, n_threads).peak
            reason = f"{done:.0f} GFLOP/s, above the measured peak of {peak:.0f}: not all of the work was done or timed"
            return {**self._case(row["variant"], name, level, n_threads), "refused": reason}
        limit, by = roofs.of(level, n_threads).limit(row["intensity"])
        return {**row, "effective": effective, "limit_gflops": limit, "limited_by": by,
                "fraction_of_limit": row["gflops"] / limit}  # fmt: skip

"""How many threads a kernel may use. Results never depend on it: only the time does."""

import contextlib
import contextvars
import math
import os
import pathlib
import time

from convcore._compiled import cpu

# Below this many operations a thread costs more than it saves: a parallel region takes 1 to 2 µs, another the lines of
# the cache that one processor fetches from the other. Kernels of training need about 2 µs for so many.
OPERATIONS_PER_THREAD = 170_000

LOOK_EVERY = 1e-3  # seconds

_override = contextvars.ContextVar("convcore_num_threads", default=None)
_process_default = None
_forked = False
_looked_at = 0.0


def set_num_threads(n):
    """Set the number of threads for the whole process.

    Parameters
    ----------
    n : int
        At least 1.

    Examples
    --------
    >>> before = get_num_threads()
    >>> set_num_threads(1); get_num_threads()
    1
    >>> set_num_threads(before)
    """
    global _process_default
    _process_default = check(n, "set_num_threads")


def get_num_threads():
    """Return the largest number of threads that a kernel takes when it is not told otherwise."""
    global _process_default
    if _forked:
        return 1
    of_block = _override.get()
    if of_block is not None:
        return of_block
    if _process_default is None:
        _process_default = detect()[0]
    return _process_default


@contextlib.contextmanager
def num_threads(n):
    """Use `n` threads inside the ``with`` block, in this Python thread only.

    Examples
    --------
    >>> with num_threads(1):
    ...     get_num_threads()
    1
    """
    token = _override.set(check(n, "num_threads"))
    try:
        yield
    finally:
        _override.reset(token)


def for_work(operations, n_threads=None):
    """Return the threads for a task: what was asked for, else as many as `operations` are worth.

    A child that was forked runs on one thread: the OpenMP runtime's other threads do not exist in it, and waiting
    for them would hang.
    """
    if _forked or not cpu.openmp_date():
        return 1
    if n_threads is not None:
        return n_threads
    return max(1, min(get_num_threads(), operations // OPERATIONS_PER_THREAD))


def keep_apart(n_threads):
    """See to it, once a millisecond, that no two threads share a processor while another is free.

    Linux lets threads that often sleep share one for seconds, and a kernel of 5 µs then takes 200.
    """
    global _looked_at
    now = time.perf_counter()
    if n_threads > 1 and now - _looked_at > LOOK_EVERY:
        _looked_at = now
        cpu.spread_threads(n_threads)


def check(n, source):
    """Return `n` if it is a number of threads, else raise a TypeError or ValueError that names `source`."""
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"{source}: the number of threads must be an int, got {type(n).__name__}")
    if not 1 <= n <= 1024:
        raise ValueError(f"{source}: the number of threads must lie in [1, 1024], got {n}")
    return n


def detect():
    """Return (number of threads, the reason in words) from the environment, the affinity and the cgroup quota."""
    own = os.environ.get("CONVCORE_NUM_THREADS")
    if own is not None:
        if not own.isdecimal():
            raise ValueError(f"CONVCORE_NUM_THREADS must be a whole number, got {own!r}")
        return check(int(own), "CONVCORE_NUM_THREADS"), "CONVCORE_NUM_THREADS"
    shared = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # "4,2" is 4 for the outermost level
    if shared.isdecimal() and int(shared) >= 1:
        return min(int(shared), 1024), "OMP_NUM_THREADS"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota()
    if quota is not None and math.ceil(quota) < cores:
        return max(1, math.ceil(quota)), f"the cgroup's quota of {quota:g} processors"
    return cores, f"{cores} processors that this process may run on"


def cgroup_quota(root="/sys/fs/cgroup", membership="/proc/self/cgroup"):
    """Return the processors that the cgroup (version 1 or 2) allows, or None where there is no limit.

    Every group from the process's own up to the root may carry a limit; the smallest one holds.
    """
    root = pathlib.Path(root)
    try:
        lines = pathlib.Path(membership).read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        base = root if controllers == "" else root / "cpu"
        if controllers != "" and "cpu" not in controllers.split(","):
            continue
        group = base / path.lstrip("/")
        while True:
            limits.append(_limit_v2(group) if controllers == "" else _limit_v1(group))
            if group == base or base not in group.parents:
                break
            group = group.parent
    return min((limit for limit in limits if limit is not None), default=None)


def _limit_v2(group):
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _limit_v1(group):
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        return None if quota <= 0 else quota / int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _in_forked_child():
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)

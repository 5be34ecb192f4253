"""How many threads: the environment, the affinity, the cgroup; forked children; the GIL; what an import brings in."""

import os
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import convcore as cc
from convcore import threads
from convcore._compiled import cpu

openmp = pytest.mark.skipif(not cpu.openmp_date(), reason="built without OpenMP")


@pytest.fixture
def detected(monkeypatch):
    """What `detect` says with these variables set, this affinity and this quota."""

    def detect(cores=4, quota=None, **environment):
        for name in ("CONVCORE_NUM_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
            if name in environment:
                monkeypatch.setenv(name, environment[name])
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
        monkeypatch.setattr(threads, "cgroup_quota", lambda: quota)
        return threads.detect()

    return detect


# Where the number comes from


@pytest.mark.parametrize(
    ("given", "n", "reason"),
    [
        (dict(), 4, "4 processors that this process may run on"),
        (dict(cores=1), 1, "1 processors that this process may run on"),
        (dict(quota=2.0), 2, "the cgroup's quota of 2 processors"),
        (dict(quota=1.5), 2, "the cgroup's quota of 1.5 processors"),  # half a processor is worth a thread
        (dict(quota=0.1), 1, "the cgroup's quota of 0.1 processors"),
        (dict(quota=3.5), 4, "4 processors that this process may run on"),
        (dict(quota=9.0), 4, "4 processors that this process may run on"),
        (dict(OMP_NUM_THREADS="3"), 3, "OMP_NUM_THREADS"),
        (dict(OMP_NUM_THREADS="4,2"), 4, "OMP_NUM_THREADS"),
        (dict(OMP_NUM_THREADS=" 2 , 8 "), 2, "OMP_NUM_THREADS"),
        (dict(OMP_NUM_THREADS="9999"), 1024, "OMP_NUM_THREADS"),
        (dict(OMP_NUM_THREADS="7", quota=2.0), 7, "OMP_NUM_THREADS"),
        (dict(OMP_NUM_THREADS=""), 4, "4 processors that this process may run on"),
        (dict(OMP_NUM_THREADS="0"), 4, "4 processors that this process may run on"),  # another program's mistake
        (dict(OMP_NUM_THREADS="many"), 4, "4 processors that this process may run on"),
        (dict(OMP_NUM_THREADS="-2"), 4, "4 processors that this process may run on"),
        (dict(CONVCORE_NUM_THREADS="5", OMP_NUM_THREADS="3", quota=1.0), 5, "CONVCORE_NUM_THREADS"),
    ],
    ids=str,
)
def test_number_and_reason(detected, given, n, reason):
    assert detected(**given) == (n, reason)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("many", "CONVCORE_NUM_THREADS must be a whole number, got 'many'"),
        ("4,2", "CONVCORE_NUM_THREADS must be a whole number, got '4,2'"),
        ("2.0", "CONVCORE_NUM_THREADS must be a whole number, got '2.0'"),
        ("-1", "CONVCORE_NUM_THREADS must be a whole number, got '-1'"),
        ("", "CONVCORE_NUM_THREADS must be a whole number, got ''"),
        ("0", "CONVCORE_NUM_THREADS: the number of threads must lie in [1, 1024], got 0"),
        ("1025", "CONVCORE_NUM_THREADS: the number of threads must lie in [1, 1024], got 1025"),
    ],
)
def test_errors_of_the_environment(detected, value, message):
    with pytest.raises(ValueError) as error:
        detected(CONVCORE_NUM_THREADS=value)
    assert str(error.value) == message


def test_without_affinity_the_processors_count(detected, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    detected()
    monkeypatch.delattr(os, "sched_getaffinity")
    assert threads.detect() == (6, "6 processors that this process may run on")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.detect()[0] == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_for_real(python):
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import convcore as cc; "
    program += "print(cc.get_num_threads())"
    assert python(program, CONVCORE_NUM_THREADS=None, OMP_NUM_THREADS=None) == "1"


@pytest.mark.parametrize(("name", "value"), [("CONVCORE_NUM_THREADS", "3"), ("OMP_NUM_THREADS", "3,1")])
def test_environment_for_real(python, name, value):
    environment = {"CONVCORE_NUM_THREADS": None, "OMP_NUM_THREADS": None, name: value}
    assert python("import convcore as cc; print(cc.get_num_threads())", **environment) == "3"


def test_a_wrong_environment_is_one_line_for_whoever_asks(python):
    with pytest.raises(RuntimeError) as error:
        python("import convcore as cc; cc.get_num_threads()", CONVCORE_NUM_THREADS="x")
    assert str(error.value) == "ValueError: CONVCORE_NUM_THREADS must be a whole number, got 'x'"


# cgroups: trees of files


def write(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


V1 = "12:memory:/m\n4:cpu,cpuacct:/user/job\n1:name=systemd:/user\n"


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("0::/user/job\n", {"user/job/cpu.max": "300000 100000", "user/cpu.max": "max 100000"}, 3),
        ("0::/user/job\n", {"user/job/cpu.max": "300000 100000", "user/cpu.max": "50000 100000"}, 0.5),
        ("0::/user/job\n", {"user/job/cpu.max": "max 100000", "cpu.max": "200000 100000"}, 2),
        ("0::/not/here\n", {"cpu.max": "200000 100000"}, 2),  # a namespace hides the path, the root is ours
        ("0::/../other\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
        ("0::/\n", {"cpu.max": ""}, None),
        ("0::/\n", {"cpu.max": "100000 0"}, None),
        (V1, {"cpu/user/job/cpu.cfs_quota_us": "150000", "cpu/user/job/cpu.cfs_period_us": "100000"}, 1.5),
        (V1, {"cpu/user/job/cpu.cfs_quota_us": "-1\n", "cpu/user/job/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"cpu/user/job/cpu.cfs_quota_us": "-1", "cpu/user/cpu.cfs_quota_us": "40000",
              "cpu/user/cpu.cfs_period_us": "20000"}, 2),
        (V1, {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        (V1, {"cpu/user/job/cpu.cfs_quota_us": "100000"}, None),
        (V1, {"cpu.max": "100000 100000"}, None),  # what belongs to version 2 says nothing about version 1
        ("0::/\n" + V1, {"cpu.max": "300000 100000", "cpu/cpu.cfs_quota_us": "2", "cpu/cpu.cfs_period_us": "1"}, 2),
        ("3:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "2", "cpu/cpu.cfs_period_us": "1"}, None),
        ("", {"cpu.max": "200000 100000"}, None),
    ],
)  # fmt: skip
def test_cgroup_quota(tmp_path, membership, files, quota):
    write(tmp_path / "cgroup", {"README": "", **files})
    (tmp_path / "membership").write_text(membership)
    assert threads.cgroup_quota(tmp_path / "cgroup", tmp_path / "membership") == quota


def test_no_cgroups_at_all(tmp_path):
    assert threads.cgroup_quota(tmp_path, tmp_path / "missing") is None


# Setting it


@pytest.fixture
def default():
    before = cc.get_num_threads()
    yield before
    cc.set_num_threads(before)


def test_set_and_get(default):
    cc.set_num_threads(5)
    assert cc.get_num_threads() == 5
    with cc.num_threads(2):
        assert cc.get_num_threads() == 2
        with cc.num_threads(7):
            assert cc.get_num_threads() == 7
        cc.set_num_threads(3)  # for the process; the block goes on as it was
        assert cc.get_num_threads() == 2
        with pytest.raises(KeyError), cc.num_threads(4):
            raise KeyError
        assert cc.get_num_threads() == 2
    assert cc.get_num_threads() == 3


def test_a_block_holds_in_its_own_python_thread(default):
    cc.set_num_threads(5)
    seen = []
    with cc.num_threads(2):
        other = threading.Thread(target=lambda: seen.append(cc.get_num_threads()))
        other.start()
        other.join()
    assert seen == [5]


@pytest.mark.parametrize("name", ["set_num_threads", "num_threads"])
@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (0, ValueError, "the number of threads must lie in [1, 1024], got 0"),
        (-1, ValueError, "the number of threads must lie in [1, 1024], got -1"),
        (1025, ValueError, "the number of threads must lie in [1, 1024], got 1025"),
        (10**30, ValueError, f"the number of threads must lie in [1, 1024], got {10**30}"),
        (2.0, TypeError, "the number of threads must be an int, got float"),
        (True, TypeError, "the number of threads must be an int, got bool"),
        ("2", TypeError, "the number of threads must be an int, got str"),
        (None, TypeError, "the number of threads must be an int, got NoneType"),
    ],
    ids=str,
)
def test_errors_of_setting_it(name, value, kind, message):
    before = cc.get_num_threads()
    with pytest.raises(kind) as error:
        getattr(cc, name)(value) if name == "set_num_threads" else getattr(cc, name)(value).__enter__()
    assert str(error.value) == f"{name}: {message}"
    assert cc.get_num_threads() == before


@openmp
def test_small_work_stays_on_one_thread():
    with cc.num_threads(4):
        assert threads.for_work(1000) == 1
        assert threads.for_work(threads.OPERATIONS_PER_THREAD) == 1
        assert threads.for_work(2 * threads.OPERATIONS_PER_THREAD) == 2
        assert threads.for_work(10**12) == 4
        assert threads.for_work(0) == 1
        assert threads.for_work(1000, 3) == 3  # what is asked for holds
    with cc.num_threads(1):
        assert threads.for_work(10**12) == 1


def test_without_openmp_there_is_one_thread(monkeypatch):
    monkeypatch.setattr(threads, "cpu", SimpleNamespace(openmp_date=lambda: 0))
    assert threads.for_work(10**12, 8) == 1


def test_kernels_are_told_how_many():
    """The number that `for_work` names, by default or as asked for, is what a kernel is given."""
    told = []

    class Told:
        def forward(self, geometry, x, weight, bias, y, n_threads):
            told.append(n_threads)

    cc.kernels.register("conv2d", Told(), "told")
    try:
        small, large, weight = np.ones((1, 1, 3, 3)), np.ones((8, 4, 40, 40)), np.ones((8, 4, 3, 3))
        with cc.num_threads(3):
            cc.kernels.conv2d_forward(small, weight[:, :1])
            cc.kernels.conv2d_forward(large, weight)
            cc.kernels.conv2d_forward(small, weight[:, :1], n_threads=2)
    finally:
        cc.kernels.unregister("conv2d", "told")
    assert told == ([1, 3, 2] if cpu.openmp_date() else [1, 1, 1])


# Forked children

FORK = """
import os, numpy as np, convcore as cc
x, w = np.ones((8, 3, 20, 20), np.float32), np.ones((16, 3, 3, 3), np.float32)
expected = {v: cc.kernels.conv2d_forward(x, w, variant=v, n_threads=4) for v in ("im2col", "direct")}
assert cc.threads.for_work(10**12, 4) == 4 or not cc.threads.cpu.openmp_date()
child = os.fork()
if child == 0:
    assert cc.get_num_threads() == 1
    assert cc.threads.for_work(10**12, 4) == 1
    for v in expected:
        assert np.array_equal(cc.kernels.conv2d_forward(x, w, variant=v, n_threads=4), expected[v])
        assert np.array_equal(cc.kernels.conv2d_forward(x, w, variant=v), expected[v])
    grandchild = os.fork()
    if grandchild == 0:
        cc.kernels.conv2d_forward(x, w, n_threads=2)
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(cc.kernels.conv2d_forward(x, w, n_threads=4), expected["im2col"])
print("well")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_hang(python):
    """The parent has run several threads; child and grandchild run the same kernels, on one."""
    assert python(FORK, timeout=60) == "well"


# The GIL


@pytest.mark.parametrize("variant", ["im2col", "direct"])
def test_other_python_threads_run_during_a_kernel(variant):
    """While one thread is inside a kernel, another gets to run Python in the middle of it."""
    x, weight = np.ones((16, 16, 60, 60)), np.ones((32, 16, 5, 5))
    inside, ticks = [], []

    def work():
        inside.append(time.monotonic())
        cc.kernels.conv2d_forward(x, weight, variant=variant, n_threads=1)
        inside.append(time.monotonic())

    for _ in range(5):  # on a machine so busy that nobody got to run meanwhile: once more
        inside.clear(), ticks.clear()
        worker = threading.Thread(target=work)
        worker.start()
        while worker.is_alive():
            ticks.append(time.monotonic())
            time.sleep(0.001)
        worker.join()
        quarter = (inside[1] - inside[0]) / 4
        if any(inside[0] + quarter < tick < inside[1] - quarter for tick in ticks):
            return
    pytest.fail(f"{variant} held the GIL")


# What an import brings in


def test_import_loads_no_third_party_package_but_numpy(python):
    program = """
import sys, numpy
before = set(sys.modules)
import convcore
names = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(name for name in names - sys.stdlib_module_names if "cython_" not in name))
"""
    assert python(program) == "convcore"


def test_import_leaves_numpy_and_the_environment_alone(python):
    program = """
import os, warnings, numpy
state = numpy.geterr(), dict(os.environ), list(warnings.filters), numpy.random.get_state()[1].tolist()
import convcore
assert state == (numpy.geterr(), dict(os.environ), list(warnings.filters), numpy.random.get_state()[1].tolist())
"""
    python(program)


def test_import_leaves_denormal_numbers_alone(python):
    python("from convcore._compiled import cpu; import convcore; assert not cpu.flushes_denormals()")


# ---------------------------------------------------------------- processors


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8, 200])
def test_threads_move_apart_and_may_run_where_they_might(n_threads):
    """As many as there are processors at most; nobody's affinity is changed."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    for _ in range(20):
        assert 0 <= cpu.spread_threads(n_threads) < max(2, len(before or ()))
    if before:
        tasks = [int(task) for task in os.listdir("/proc/self/task")]
        assert all(os.sched_getaffinity(task) == before for task in tasks)


def test_somebody_looks_once_a_millisecond(monkeypatch):
    looked, now = [], [100.0]
    monkeypatch.setattr(threads, "_looked_at", 0.0)
    monkeypatch.setattr(threads.cpu, "spread_threads", looked.append)
    monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])
    for seconds, n_threads in ((0, 1), (0, 2), (1e-4, 2), (1e-3, 2), (1e-4, 4), (1e-2, 1), (1e-3, 4)):
        now[0] += seconds
        threads.keep_apart(n_threads)
    assert looked == [2, 2, 4]

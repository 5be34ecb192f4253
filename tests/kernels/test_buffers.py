"""Memory of results and of kernels is used again, and never while anybody holds it."""

import threading

import numpy as np
import pytest

from convcore.kernels import buffers

SINGLE = np.dtype("f4")


@pytest.fixture(autouse=True)
def _fresh():
    buffers.release()
    yield
    buffers.release()


def address(array):
    return array.__array_interface__["data"][0]


MAKERS = [lambda: buffers.empty((64, 6, 28, 28), SINGLE), lambda: buffers.aligned(2, 1000, SINGLE),
          lambda: buffers.own_pages(2, 1000, SINGLE)]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
def test_memory_is_used_again_once_it_is_free(make):
    array = make()
    first = address(array)
    assert first % 64 == 0
    assert address(make()) != first
    del array
    assert address(make()) == first


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("hold", [
    lambda a: a[1], lambda a: a[1][1:], lambda a: a.reshape(-1)[5:].view(np.int32), memoryview,
    lambda a: memoryview(a)[1:] if a.ndim == 1 else memoryview(a), lambda a: np.asarray(memoryview(a)),
    lambda a: np.ndarray((3,), a.dtype, a, 8), lambda a: np.ndarray((3,), a.dtype, a, 8)[1:],
])  # fmt: skip
def test_memory_is_not_free_while_a_view_of_it_lives(make, hold):
    array = make()
    first, held = address(array), hold(array)
    del array
    others = [make() for _ in range(3)]
    assert first not in map(address, others)
    del held, others
    assert first in [address(array) for array in [make(), make(), make(), make()]]


def test_rows_have_pages_of_their_own():
    for numbers, columns in ((1, 1024), (1024, 1024), (1025, 2048)):
        array = buffers.own_pages(3, numbers, SINGLE)
        assert array.shape == (3, columns)
        assert all(address(row) % 4096 == 0 for row in array)


def test_shapes_and_dtypes():
    for dtype in (SINGLE, np.dtype("f8"), np.dtype("i4")):
        assert buffers.empty((3, 5), dtype).shape == (3, 5)
        assert buffers.empty((300, 500), dtype).flags.c_contiguous
        rows = buffers.aligned(3, 17, dtype)
        assert rows.dtype == dtype
        assert rows.shape == (3, 128 // dtype.itemsize if dtype.itemsize == 4 else 24)


def test_a_store_that_is_full_begins_anew(monkeypatch):
    monkeypatch.setattr(buffers, "STORE", 2**20)
    arrays = [buffers.empty((100_000,), SINGLE) for _ in range(9)]
    assert len({address(array) for array in arrays}) == 9
    assert buffers._thread.bytes <= 2**20


def test_each_thread_has_a_store_of_its_own():
    mine = buffers.aligned(1, 1000, SINGLE)
    first, found = address(mine), []
    del mine
    other = threading.Thread(target=lambda: found.append(buffers.aligned(1, 1000, SINGLE)))
    other.start()
    other.join()
    assert address(found[0]) != first
    assert address(buffers.aligned(1, 1000, SINGLE)) == first

"""Steps side by side: all of them, in order within a job, and none after the end."""

from __future__ import annotations

from contextlib import closing
from threading import Event, Lock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_disentangle.compute.iterators import finished, side_by_side, within


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=8), st.integers(1, 4))
def test_every_job_gives_all_its_steps_in_its_order(lengths, threads):
    def job(number, length):
        for step in range(length):
            yield number, step

    jobs = [job(number, length) for number, length in enumerate(lengths)]
    seen = list(side_by_side(jobs, threads))
    for number, length in enumerate(lengths):
        assert [step for own, step in seen if own == number] == list(range(length))
    assert len(seen) == sum(lengths)


@pytest.mark.parametrize("threads", [2, 3])
def test_so_many_are_at_work_and_no_more(threads):
    lock, now, most = Lock(), set(), []
    together = Event()

    def job(number):
        with lock:
            now.add(number)
            most.append(len(now))
            if len(now) == threads:
                together.set()
        assert together.wait(10)
        yield number
        with lock:
            now.discard(number)

    assert sorted(side_by_side(map(job, range(7)), threads)) == list(range(7))
    assert max(most) == threads


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_ends_all(threads):
    closed = []

    def job(number):
        try:
            yield number
            if number == 1:
                raise OSError("disk full")
            while True:
                yield number
        finally:
            closed.append(number)

    with pytest.raises(OSError, match="disk full"):
        for _ in side_by_side(map(job, (1, 2, 3)), threads):
            pass
    assert sorted(closed) == [1, 2, 3][:threads]


@pytest.mark.parametrize("threads", [1, 3])
def test_closing_closes_all(threads):
    closed = []

    def job(number):
        try:
            while True:
                yield number
        finally:
            closed.append(number)

    with closing(side_by_side(map(job, range(5)), threads)) as steps:
        for _ in range(20):
            next(steps)
    assert sorted(closed) == list(range(threads))


def test_steps_inside_a_context_return_what_they_return():
    inside = []

    class Context:
        def __enter__(self):
            inside.append(1)

        def __exit__(self, *_):
            inside.pop()

    def job():
        assert inside
        yield
        assert inside
        return "end"

    steps = within(Context, job())
    next(steps)
    assert not inside
    assert finished(steps) == "end"
    assert not inside

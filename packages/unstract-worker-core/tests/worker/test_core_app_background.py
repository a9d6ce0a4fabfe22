"""What slots share in a process: recent answers, and the thread that repeats things beside them."""

import threading
import weakref
from types import SimpleNamespace

import pytest

from unstract_worker_core import periodic
from unstract_worker_core.periodic import PeriodicThread
from unstract_worker_core.runs.runtime import TtlCache


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_serves_for_its_time_and_by_its_name() -> None:
    clock = Clock()
    recent: TtlCache[int] = TtlCache(clock)
    answers = iter(range(10))
    ask = answers.__next__

    assert [recent.get("a", ask, seconds=1.0), recent.get("a", ask, seconds=1.0)] == [0, 0]
    assert recent.get("b", ask, seconds=1.0) == 1
    clock.now += 1.0
    assert recent.get("a", ask, seconds=1.0) == 2
    assert recent.get("a", ask, seconds=0.0) == 3


def test_what_could_not_be_asked_is_asked_again() -> None:
    recent: TtlCache[int] = TtlCache(Clock())

    def fail() -> int:
        raise OSError("away")

    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            recent.get("a", fail, seconds=1.0)
    assert recent.get("a", lambda: 7, seconds=1.0) == 7


def test_while_one_asks_the_others_do_not_wait_and_go_by_nothing_that_is_too_old() -> None:
    clock = Clock()
    recent: TtlCache[int] = TtlCache(clock)
    recent.get("a", lambda: 1, seconds=1.0)
    clock.now += 1.5
    asked, answer = threading.Event(), threading.Event()

    def slow() -> int:
        asked.set()
        answer.wait(10)
        return 2

    asker = threading.Thread(target=lambda: recent.get("a", slow, seconds=1.0))
    asker.start()
    assert asked.wait(10)
    assert recent.get("a", lambda: pytest.fail("asked as well"), seconds=1.0) == 1
    clock.now += 1.0
    assert recent.get("a", lambda: 3, seconds=1.0) == 3
    answer.set()
    asker.join(10)


def test_answers_nobody_asks_for_any_more_are_dropped() -> None:
    clock = Clock()
    recent: TtlCache[int] = TtlCache(clock)
    for number in range(3000):
        clock.now += 0.01
        recent.get(str(number), lambda: 1, seconds=1.0)

    assert len(recent._entries) <= 1000


def test_actions_are_repeated_while_their_block_runs_and_a_bad_one_ends_no_other() -> None:
    ticker, ticks = PeriodicThread(0.005), threading.Semaphore(0)

    def tick() -> None:
        ticks.release()

    def bad() -> None:
        raise RuntimeError("a defect")

    with ticker.calling(bad), ticker.calling(tick):
        assert all(ticks.acquire(timeout=10) for _ in range(3))
    assert not ticker._actions


class Batch:
    def __init__(self) -> None:
        self.called = threading.Event()

    def tick(self) -> None:
        self.called.set()


def test_what_an_action_worked_on_is_not_kept_until_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, pausing, go_on = Batch(), threading.Event(), threading.Event()

    def sleep(_: float, called: threading.Event = batch.called) -> None:
        if called.is_set():
            pausing.set()
            go_on.wait(10)

    monkeypatch.setattr(periodic, "time", SimpleNamespace(sleep=sleep))
    with PeriodicThread(20.0).calling(batch.tick):
        assert pausing.wait(10)
    kept = weakref.ref(batch)
    del batch
    assert kept() is None
    go_on.set()

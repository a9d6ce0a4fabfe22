"""How many rounds are made, and until when. The clock is given: nothing here waits."""

import time
from pathlib import Path

import pytest
from attrs import evolve

from unstract_bench.figures import Figure
from unstract_bench.rounds import Setting


def made_after(seconds: float, *values: float) -> tuple[list[float], Setting]:
    """The values of the rounds that are made where a run of 80 seconds began so many seconds ago."""
    setting = Setting(Path(), Path(), print, seconds=80.0, began=time.monotonic() - seconds)
    left = iter(values)
    samples = setting.repeat(
        "a round",
        lambda samples: samples.add("made", next(left)),
        lambda samples: (Figure("f", "s", samples.of("made"), bar=2.0),),
    )
    return list(samples.of("made")), setting


def test_three_rounds_are_made():
    assert made_after(0, 1.0, 1.0, 1.0, 9.0)[0] == [1.0, 1.0, 1.0]


def test_two_more_where_they_cannot_be_judged():
    assert made_after(0, 1.0, 1.9, 3.0, 1.0, 1.0)[0] == [1.0, 1.9, 3.0, 1.0, 1.0]


def test_late_in_the_run_there_are_no_more_rounds_than_needed():
    made, setting = made_after(85, 1.0, 1.9, 3.0)
    assert made == [1.0, 1.9, 3.0]
    assert not setting.time_left


@pytest.mark.parametrize("seconds", [90.5, 1000])
def test_after_that_nothing_is_begun(seconds):
    assert made_after(seconds)[0] == []


def test_what_takes_long_begins_only_where_it_will_end_in_time():
    _, setting = made_after(20, 1.0, 1.0, 1.0)
    assert setting.allows(60)
    assert not setting.allows(75)
    assert not evolve(setting, short=True).allows(1)

"""What an error means for a run."""

import pytest

from unstract_worker_core.errors import (
    BackendRefused,
    BackendUnavailable,
    LedgerError,
    MessageError,
    NotFound,
    OutcomeUnknown,
    SteppedAside,
    UnexpectedAnswer,
)
from unstract_worker_core.runs import RetryDelays, get_optional, reason_of
from unstract_worker_core.runs.failure_policy import hand_over, is_permanent, unreachable

WAITS = RetryDelays(unavailable=10, unknown=30, failed=5)


def away(status=None):
    return BackendUnavailable("no connection", endpoint="a.b", status=status)


def unknown(status=None):
    return OutcomeUnknown("no answer", endpoint="a.b", status=status)


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (BackendRefused("no", endpoint="a.b", status=400), True),
        (NotFound("no", endpoint="a.b", status=404), True),
        (UnexpectedAnswer("HTML", endpoint="a.b", status=200), True),
        (MessageError("not a UUID"), True),
        (away(), False),
        (unknown(), False),
        (SteppedAside("the process drains"), False),
        (LedgerError("not armed"), False),
        (RuntimeError("x"), False),
    ],
)
def test_what_would_be_met_again_is_definite(error, final):
    assert is_permanent(error) is final


@pytest.mark.parametrize(
    ("error", "attempts", "delay", "charge"),
    [
        (SteppedAside("the process drains", delay_seconds=3), 4, 3, False),
        (away(), 4, 10, False),
        (away(503), 0, 10, False),
        (away(500), 0, 5, True),
        (away(500), 3, 40, True),
        (unknown(), 0, 30, False),
        (unknown(504), 0, 30, False),
        (unknown(500), 0, 30, True),
        (unknown(500), 4, 80, True),
        (LedgerError("not armed"), 1, 10, True),
        (RuntimeError("x"), 20, 300, True),
    ],
)
def test_how_a_run_is_handed_back(error, attempts, delay, charge):
    over = hand_over(error, attempts=attempts, waits=WAITS)
    assert (over.delay_seconds, over.charge) == (delay, charge)


def test_only_no_answer_is_unreachable():
    assert [unreachable(each) for each in (away(), away(429), unknown(), away(500), unknown(500))] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert not unreachable(BackendRefused("no", endpoint="a.b"))


def test_reasons_are_one_short_line_and_never_a_foreign_errors_text():
    assert reason_of(MessageError("a\nb\x00  c", field="x")) == "x: a b c"
    assert reason_of(ValueError("with a secret inside")) == "unexpected ValueError"
    long = reason_of(MessageError("y" * 500))
    assert len(long) == 256
    assert long.endswith("...")


def raising(error):
    def ask():
        raise error

    return ask


def test_what_a_run_can_do_without_is_waited_for_only_while_nobody_answers():
    assert get_optional(lambda: 5, 1, what="a number") == 5
    assert get_optional(raising(BackendRefused("no", endpoint="a.b", status=400)), 1, what="a number") == 1
    assert get_optional(raising(away(500)), 1, what="a number") == 1
    with pytest.raises(BackendUnavailable):
        get_optional(raising(away()), 1, what="a number")

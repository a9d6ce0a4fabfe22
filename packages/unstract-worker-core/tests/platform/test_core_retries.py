"""stamina is only made use of once a call has failed; from then on all is as stamina has it."""

import pytest
import stamina

from unstract_worker_core.retries import Retrying


class Flaky:
    def __init__(self, *failures):
        self.failures, self.calls = list(failures), 0

    def __call__(self, value):
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return value


def test_what_succeeds_does_not_pay_for_the_machinery(monkeypatch):
    monkeypatch.setattr(stamina, "retry_context", None)
    monkeypatch.setattr(stamina.RetryingCaller, "__call__", None)
    assert Retrying(attempts=3)(ValueError, Flaky(), 7) == 7


@pytest.mark.parametrize("failures", [1, 2])
def test_attempts_are_counted_from_the_first(failures):
    call = Flaky(*[ValueError(str(number)) for number in range(failures)])
    with stamina.set_testing(True, attempts=3, cap=True):
        assert Retrying(attempts=3, timeout=None)(ValueError, call, 7) == 7
    assert call.calls == failures + 1


def test_the_last_error_comes_out():
    call = Flaky(*[ValueError(str(number)) for number in range(9)])
    with stamina.set_testing(True, attempts=3, cap=True), pytest.raises(ValueError, match="2"):
        Retrying(attempts=3, timeout=None)(ValueError, call, 7)
    assert call.calls == 3


def test_what_is_not_retried_and_hooks_are_stamina_s():
    seen = []

    def hook(error):
        seen.append(str(error))
        return str(error) == "again"

    call = Flaky(ValueError("again"), ValueError("no more"))
    with stamina.set_testing(True, attempts=9, cap=True), pytest.raises(ValueError, match="no more"):
        Retrying(attempts=9, timeout=None)(hook, call, 7)
    assert seen == ["again", "no more"]


def test_a_first_attempt_that_the_caller_made_is_one_of_the_attempts():
    call = Flaky(ValueError("second"), ValueError("third"))
    with stamina.set_testing(True, attempts=2, cap=True), pytest.raises(ValueError, match="second"):
        Retrying(attempts=2, timeout=None).after(ValueError("first"), ValueError, call, 7)
    assert call.calls == 1

"""Repeats what failed, with stamina; what succeeds at once, as nearly everything does, does not pay for its harness."""

from collections.abc import Callable
from itertools import chain, repeat
from typing import TypeVar

import stamina

__all__ = ["repeated"]

T = TypeVar("T")


def repeated(
    call: Callable[[], T],
    *,
    on: type[Exception] | Callable[[Exception], bool | float],
    attempts: int | None,
    timeout: float | None,
    wait_initial: float = 0.1,
    wait_max: float = 5.0,
) -> T:
    """The value of the first call that succeeds; arguments are those of stamina.retry_context, times in seconds.

    Raises the last call's error.
    """
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - stamina decides about it below, as about any later one
        failed = error

    def fail() -> T:
        raise failed

    attempts_to_come = stamina.retry_context(
        on=on, attempts=attempts, timeout=timeout, wait_initial=wait_initial, wait_max=wait_max
    )
    for attempt, once in zip(attempts_to_come, chain((fail,), repeat(call)), strict=False):
        with attempt:
            return once()
    raise AssertionError("unreachable: stamina raises the last error")

"""Retries with stamina, for calls to the backend and to Redis alike.

The first attempt is made without stamina: with a hundred threads its machinery costs a successful call 0.13 ms of
processor time, and a file takes about twenty calls. From the first failure on all is up to stamina: back-off, jitter,
limits, hooks, its switch for tests.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import stamina

P = ParamSpec("P")
T = TypeVar("T")
On = type[Exception] | Callable[[Exception], bool | float]


class Retrying:
    """A `stamina.RetryingCaller` that is used only after the first attempt has failed; it can be shared and kept."""

    def __init__(self, **limits: Any) -> None:
        """`limits`: as stamina.retry has them."""
        self._retrying = stamina.RetryingCaller(**limits)

    def __call__(self, on: On, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The value of the first attempt that succeeds.

        Args:
            on: what is retried: an error, or a hook as stamina has them (whether, or after how many seconds).
            call: is called with the other arguments.

        Raises:
            The error of the last attempt.
        """
        try:
            return call(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - stamina decides about it as about any later one
            return self.after(error, on, call, *args, **kwargs)

    def after(self, error: Exception, on: On, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a caller whose first attempt, made by itself, failed with `error`."""
        failed = [error]

        def attempt() -> T:
            if failed:
                raise failed.pop()
            return call(*args, **kwargs)

        return self._retrying(on, attempt)

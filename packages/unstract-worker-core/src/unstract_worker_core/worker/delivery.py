"""One message as a task sees it, free of Celery, so that steps and their tests need none."""

from typing import Any

from attrs import Factory, frozen

__all__ = ["Delivery"]


@frozen
class Delivery:
    """A delivered task message.

    Attributes:
        task: registered task name.
        task_id: Celery's id of the message; the same for a redelivery.
        queue: where it came from, as far as the broker says.
        args: positional arguments as decoded (UUID objects included).
        kwargs: keyword arguments.
        retries: Celery's count of retries (chord mode).
        redelivered: whether the broker says that it delivers it again.
    """

    task: str
    task_id: str
    queue: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = Factory(dict)
    retries: int = 0
    redelivered: bool = False

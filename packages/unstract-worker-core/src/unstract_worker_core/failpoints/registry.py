"""All crash points, derived from the tables of what workers do: a new step, effect or doorbell has its own at once."""

from collections.abc import Iterator

from attrs import frozen

from unstract_worker_core.backend import operations
from unstract_worker_core.backend.operations import Operation, Repeat
from unstract_worker_core.ledger.store import STEP_NAMES
from unstract_worker_core.queues import Doorbell


@frozen
class Point:
    """A place at which a worker may die: its name and what lies there."""

    name: str
    description: str


_BY_HAND = (
    Point("message.taken", "a message left its queue in Redis, and this process has not seen it yet"),
    Point("task.begun", "a message was taken from the broker, nothing of it was done"),
    Point("task.ended", "a task did all it had to; a message that is acknowledged late is not acknowledged"),
    Point("active_files.mark.before", "files were chosen and are not marked as in use"),
    Point("active_files.mark.after", "files are marked as in use and not journalled as chosen"),
    Point("api_results.replace.before", "a run is decided and none of its results is staged"),
    Point("api_results.replace.staged", "all results are staged, the caller's list is not there"),
    Point("api_results.replace.after", "the caller's list is there, the status is not terminal"),
    Point("api_results.push.before", "a chord's file has ended and its API items are not pushed"),
    Point("api_results.push.after", "a chord's API items are pushed and its file's outcome is not recorded"),
    Point("webhook.post.before", "a delivery is about to be posted"),
    Point("webhook.post.after", "a delivery was posted and nothing about it is noted"),
)


def effects() -> tuple[Operation, ...]:
    """The backend's operations that change something: some step calls each."""
    found = (each for each in vars(operations).values() if isinstance(each, Operation))
    return tuple(each for each in found if each.repeat is not Repeat.READ)


def _points() -> Iterator[Point]:
    for step in STEP_NAMES:
        yield from _around(f"ledger.{step}", f"the ledger's step {step}")
    for operation in effects():
        yield from _around(f"backend.{operation.name}", f"the backend's effect {operation.name}")
    for bell in Doorbell:
        yield from _around(f"doorbell.{bell.value}", f"ringing for {bell.value}")
    for step in ("prepare", "send", "conclude"):
        yield from _around(f"executor.{step}", f"a deferred executor's {step}")
    yield from _BY_HAND


def _around(name: str, what: str) -> Iterator[Point]:
    yield Point(f"{name}.before", f"right before {what}")
    yield Point(f"{name}.after", f"right after {what}")


POINTS: tuple[Point, ...] = tuple(_points())

"""Where each crash point lies: the worker that is to die there, and what must be under way for it to get there."""

from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from unstract_devstack.faults.checker import AS_REAL, KEYED
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, GENERAL, WorkerKind


class UnknownPoint(Exception):
    """A crash point of the workers for which nothing is known that would get there."""


@frozen
class Place:
    """One way to a point: the worker, the scenario, and the how manieth time it gets there."""

    worker: WorkerKind
    scenario: str
    nth: int = 1


@frozen
class Trial:
    """One kill: of the "worker", or in a pool of processes of the "child", or of the "group" with all of them."""

    point: str
    place: Place
    mode: str = KEYED
    dies: str = "worker"

    def __str__(self) -> str:
        place = self.place
        times = f":{place.nth}" if place.nth > 1 else ""
        killed = "" if self.dies == "worker" else f", {self.dies}"
        return f"{self.point}{times} in {place.worker.name}, {place.scenario}, {self.mode}{killed}"

    @property
    def armed(self) -> str:
        """The value of WORKER_CRASH_POINT."""
        return f"{self.point}:{self.place.nth}" + (":group" if self.dies == "group" else "")


def _at(worker: WorkerKind, scenario: str, *times: int) -> tuple[Place, ...]:
    return tuple(Place(worker, scenario, nth) for nth in times or (1,))


_API, _GENERAL, _FILES, _CALLBACK = API_DEPLOYMENT, GENERAL, FILE_PROCESSING, CALLBACK
_START = (*_at(_API, "api"), *_at(_GENERAL, "etl"))
_BATCH = (*_at(_FILES, "api"), *_at(_FILES, "etl"))
_END = (*_at(_CALLBACK, "api"), *_at(_CALLBACK, "etl"))

# By the point's name, or by what it has in common with its neighbour (without ".before" and ".after").
PLACES: Mapping[str, tuple[Place, ...]] = {
    "ledger.accept": (*_START, *_at(_GENERAL, "schedule", 1, 2), *_at(_GENERAL, "hook")),
    "ledger.claim_run": (*_START, *_at(_GENERAL, "hook"), *_at(_CALLBACK, "api")),
    "ledger.journal.before": (*_at(_API, "api"), *_at(_GENERAL, "schedule"), *_at(_CALLBACK, "api")),
    "ledger.journal.after": (
        *_at(_API, "api", 1, 2),
        *_at(_GENERAL, "etl", 2, 4, 5, 6),
        *_at(_GENERAL, "schedule", 1, 2, 3, 4),
        *_at(_GENERAL, "hook", 1, 2),
        *_at(_CALLBACK, "etl", 1, 2),
    ),
    "ledger.put_batches": _at(_API, "api"),
    "ledger.arm": _START,
    "ledger.claim_batch": _BATCH,
    "ledger.start_file": _at(_FILES, "api", 1, 2),
    "ledger.note_executed": _at(_FILES, "etl"),
    "ledger.record_file": _at(_FILES, "api"),  # the last files of a batch are recorded as it is completed
    "ledger.complete_batch": _at(_FILES, "api", 1, 2),
    "ledger.release_batch": _at(_FILES, "files unavailable"),
    "ledger.release_run": (*_at(_GENERAL, "hook"), *_at(_CALLBACK, "targets unavailable")),
    "ledger.renew_batch": _at(_FILES, "slow"),
    "ledger.renew_run": _at(_API, "slow"),
    "ledger.overdue": _at(_CALLBACK, "api", 2),
    "ledger.decide_due": _at(_CALLBACK, "api"),
    "ledger.clear_recheck": _at(_CALLBACK, "api"),
    "ledger.finish": (*_at(_CALLBACK, "api"), *_at(_GENERAL, "schedule"), *_at(_GENERAL, "hook")),
    "ledger.stop": _at(_FILES, "stopped"),
    "backend.workflow-execution.update_status": (*_at(_API, "api"), *_at(_GENERAL, "etl", 1, 2), *_END),
    "backend.execution.create": _at(_GENERAL, "schedule"),
    "backend.execution.cleanup": _at(_CALLBACK, "api"),
    # One row is asked for by itself: the only one of a run, and those of today's orchestrators.
    "backend.file-execution.create": (*_at(_GENERAL, "schedule"), *_at(_FILES, "chord", 1, 2)),
    "backend.file-execution.batch_create": _START,
    "backend.file-execution.batch_status": (*_START, *_at(_FILES, "api")),
    "backend.file-execution.status": _at(_FILES, "api", 1, 2),
    "backend.execute-file": (*_at(_FILES, "api", 1, 2), *_at(_FILES, "etl")),
    "backend.file-history.create": _BATCH,
    "backend.pipeline.update": (*_at(_GENERAL, "schedule"), *_at(_CALLBACK, "etl")),
    "backend.webhook.enqueue": (*_at(_GENERAL, "schedule"), *_END),
    "backend.webhook.mark_dispatched": _at(_GENERAL, "api"),
    "backend.webhook.mark_dead_letter": _at(_GENERAL, "dead"),
    "doorbell.orchestrate_api": _at(_API, "api"),
    "doorbell.orchestrate": (*_at(_GENERAL, "etl"), *_at(_GENERAL, "schedule", 2)),
    "doorbell.files": _at(_GENERAL, "etl"),
    "doorbell.api_files": _at(_API, "api"),
    "doorbell.callback": _at(_FILES, "api"),
    "doorbell.deliver": _at(_GENERAL, "hook"),
    # First the message with the work, then our own doorbell.
    "message.taken": (
        *_at(_API, "api", 1, 2),
        *_at(_GENERAL, "hook", 1, 2),
        *_at(_FILES, "api"),
        *_at(_CALLBACK, "api"),
    ),
    "task.begun": (*_at(_API, "api", 1, 2), *_at(_GENERAL, "hook", 1, 2), *_at(_FILES, "api"), *_at(_CALLBACK, "api")),
    "task.ended": (*_at(_API, "api", 1, 2), *_at(_GENERAL, "hook", 1, 2), *_at(_FILES, "api"), *_at(_CALLBACK, "api")),
    "active_files.mark": _at(_GENERAL, "etl"),
    "api_results.replace": _at(_CALLBACK, "api"),
    "api_results.replace.staged": _at(_CALLBACK, "api"),
    "api_results.push": _at(_FILES, "chord", 1, 2),
    "ledger.intend_request": _at(_FILES, "executor", 1, 2),
    "ledger.note_published": _at(_FILES, "executor", 1, 2),
    "ledger.await_answer": _at(_FILES, "executor", 1, 2),
    "ledger.record_answer": _at(_FILES, "executor", 1, 2),
    "ledger.withdraw_request": _at(_FILES, "executor full"),
    "executor.prepare": _at(_FILES, "executor", 1, 2),
    "executor.send": _at(_FILES, "executor", 1, 2),
    "executor.conclude": _at(_FILES, "executor", 1, 2),
    "webhook.post": (*_at(_GENERAL, "api"), *_at(_GENERAL, "hook", 1, 2)),
}

PREFORK: tuple[tuple[str, Place], ...] = (
    ("ledger.accept.before", Place(_API, "api")),
    ("ledger.arm.after", Place(_API, "api")),
    ("ledger.claim_batch.after", Place(_FILES, "api")),
    ("backend.execute-file.after", Place(_FILES, "api")),
    ("ledger.record_file.after", Place(_FILES, "api")),
    ("ledger.complete_batch.after", Place(_FILES, "api", 2)),
    ("backend.workflow-execution.update_status.after", Place(_CALLBACK, "api")),
    ("ledger.finish.before", Place(_CALLBACK, "api")),
    ("webhook.post.after", Place(_GENERAL, "api")),
)
"""Central points that are tried in a pool of processes too: once the child dies, once the whole group."""


def trials(points: Iterable[str]) -> Iterator[Trial]:
    """Every trial of these points, each point's own first. Raises UnknownPoint for one without a place."""
    wanted = tuple(points)
    for point in wanted:
        for place in _places(point):
            yield Trial(point, place)
            if point.startswith("backend.") and point.endswith(".after"):
                # Applied and not written down: where keys are ignored, only looking first can help.
                yield Trial(point, place, AS_REAL)
    for point, place in PREFORK:
        if point in wanted:
            yield Trial(point, place, dies="child")
            yield Trial(point, place, dies="group")


def _places(point: str) -> tuple[Place, ...]:
    stem, _, last = point.rpartition(".")
    found = PLACES.get(point) or (PLACES.get(stem) if last in {"before", "after"} else None)
    if not found:
        raise UnknownPoint(f"{point}: no scenario is known that gets there; name one in crash_points/places.py")
    return found

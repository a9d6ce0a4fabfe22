"""The tiny worker: tasks that leave marks in Redis."""

import os
import sys
import threading
from typing import Any

from celery import Celery, bootsteps

from unstract_worker_core.errors import MessageError, SteppedAside
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.observability.progress import mark_progress
from unstract_worker_core.runs.run_handler import retry_until_accepted
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.definition import RuntimeOf, WorkerDefinition
from unstract_worker_core.worker.tasks import add_task


def note(runtime: Runtime, delivery: Delivery) -> None:
    """Leave a mark and end."""
    runtime.platform_redis.rpush("ended", str(delivery.kwargs["name"]))


def slow(runtime: Runtime, delivery: Delivery) -> None:
    """Start, wait for the word to go on, end."""
    redis, name = runtime.platform_redis, delivery.kwargs["name"]
    redis.rpush("started", name)
    while redis.blpop(f"go:{name}", timeout=1) is None:
        pass
    redis.rpush("ended", name)


def leased(runtime: Runtime, delivery: Delivery) -> None:
    """Hold a run's lease for ever, busy where asked to be, or until the drain where asked to be polite."""
    run_id, polite = delivery.kwargs["run_id"], delivery.kwargs.get("polite")
    claim = runtime.ledger.runs.claim(run_id, runtime.token(), state=RunState.ACCEPTED)
    assert claim is not None
    with runtime.keeper.run(claim):
        runtime.platform_redis.rpush("started", run_id)
        if polite:
            runtime.draining.wait()
            runtime.ledger.runs.release(claim)
            raise SteppedAside("the process drains")
        while delivery.kwargs.get("busy") and not runtime.draining.wait(0.1):
            mark_progress()
        threading.Event().wait()


def start(runtime: Runtime, delivery: Delivery) -> None:
    """Accept a run, as start messages do."""
    name = delivery.kwargs["name"]
    retry_until_accepted(
        runtime,
        lambda: runtime.ledger.runs.accept(
            name, task=RunTask.EXECUTION, kind=RunKind.ETL, organization_id="org_1", start="{}"
        ),
    )


def broken(runtime: Runtime, delivery: Delivery) -> None:
    """Raise what the test asks for."""
    if delivery.kwargs.get("how") == "message":
        raise MessageError("no good", field="name")
    raise RuntimeError("a defect")


HOARD: list[bytes] = []


def grow(runtime: Runtime, delivery: Delivery) -> None:
    """Take 200 MB and keep them."""
    HOARD.append(b"x" * 200_000_000)


def whereabouts(runtime: Runtime, delivery: Delivery) -> None:
    """Say in which process this runs."""
    runtime.platform_redis.rpush("pids", os.getpid())


def modules(runtime: Runtime, delivery: Delivery) -> None:
    """Say which modules are loaded; those that wait to be used are not."""
    waiting = {
        name
        for name, module in sys.modules.items()
        if "deferring" in type(getattr(module, "__loader__", None)).__module__
    }
    runtime.platform_redis.rpush("modules", *(set(sys.modules) - waiting))


class FailingReceipt(bootsteps.StartStopStep):
    """What Celery calls for each message it received fails as often as TINY_FAILS_ON_RECEIPT says."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Celery's own autoscaler hooks in like this."""
        left = [int(os.environ.get("TINY_FAILS_ON_RECEIPT", "0"))]

        def fail(request: Any) -> None:
            left[0] -= 1
            if left[0] >= 0:
                raise AttributeError("an error of Celery's")

        consumer.on_task_message.add(fail)


def register(app: Celery, runtime: RuntimeOf) -> None:
    """All tasks."""
    app.steps["consumer"].add(FailingReceipt)
    bodies: dict[str, Any] = {
        "note": note,
        "slow": slow,
        "leased": leased,
        "broken": broken,
        "where": whereabouts,
        "grow": grow,
        "modules": modules,
    }
    for name, body in bodies.items():
        add_task(app, runtime, f"tiny.{name}", body)
    add_task(app, runtime, "tiny.start", start, late=True)
    add_task(app, runtime, "process_batch_callback", note, late=True)  # a message of the platform's


DEFINITION = WorkerDefinition(WorkerType.CALLBACK, "tiny_worker", register)

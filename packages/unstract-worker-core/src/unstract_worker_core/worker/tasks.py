"""The boundary between Celery and the steps: registering a task, and handling each error.

No error of a step may kill a worker or send a message round in circles: a message that can never be processed is
dead-lettered once, work that may succeed later stays in the ledger, everything else is logged and counted.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject, Retry

from unstract_worker_core.errors import BackendError, LedgerError, MessageError, SteppedAside
from unstract_worker_core.failpoints import hit
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.runs.run_handler import retry_until_accepted
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.worker.definition import RuntimeOf
from unstract_worker_core.worker.rejected_messages import dead_letter_task

Body = Callable[[Runtime, Delivery], Any]

# Before a chord's task is tried again.
_AGAIN_SECONDS = 5.0
_REQUEST = "unstract_worker_core.worker.consumer:TaskRequest"
_SIGNALS = {Reject: "rejected", Retry: "retried"}

log = get_logger(__name__)


def add_task(
    app: Celery, runtime: RuntimeOf, name: str, body: Body, *, late: bool = False, result: bool = False
) -> None:
    """Register `body` as the task `name`, inside the boundary. Any arguments are taken.

    Args:
        late: acknowledge only after the body returned: for start, schedule and webhook messages, whose body calls
            `retry_until_accepted`. Doorbells are acknowledged on receipt.
        result: a task of a chord (implies `late`): what the body returns is stored; where it raises SteppedAside, a
            LedgerError or a BackendError that may pass, its message is sent again after a delay instead.
    """

    def run(task: Any, *args: Any, **kwargs: Any) -> Any:
        delivery = _delivery(task, args, kwargs)
        again = (lambda seconds: _again(task, seconds)) if result else None
        with boundary(runtime(), delivery, again=again):
            hit("task.begun")
            answer = body(runtime(), delivery)
            hit("task.ended")
            return answer

    late = late or result
    app.finalize()
    app.tasks.pop(name, None)  # a task of ours takes the place of Celery's built-in one
    app.task(
        name=name, bind=True, typing=False, shared=False, acks_late=late, max_retries=None,
        ignore_result=not (result and app.conf.result_backend), Request=_REQUEST,
    )(run)  # fmt: skip


def serve_celery_task(app: Celery, runtime: RuntimeOf, name: str, *, late: bool = False) -> None:
    """Let a task of Celery's own be run, inside the boundary: it is counted, and its errors are seen.

    Args:
        late: acknowledge only after it returned.
    """
    app.finalize()
    task = app.tasks[name]
    task.acks_late = late
    _enclose(task, runtime, task.run)


def refuse_celery_tasks(app: Celery, runtime: RuntimeOf) -> None:
    """Dead-letter every task of Celery's own that this worker does not serve, with the reason.

    Celery would run them and say nothing: without a result backend they do nothing, and the metrics would show a task
    that was received and never ended.
    """

    def refuse(*_: Any, **__: Any) -> None:
        raise MessageError("a task of Celery's own, which this worker does not serve: is it routed to the right queue?")

    app.finalize()
    for name, task in app.tasks.items():
        if name.startswith("celery.") and task.Request != _REQUEST:
            _enclose(task, runtime, refuse)


def _enclose(task: Any, runtime: RuntimeOf, run: Callable[..., Any]) -> None:
    def enclosed(*args: Any, **kwargs: Any) -> Any:
        with boundary(runtime(), _delivery(task, args, kwargs)):
            return run(*args, **kwargs)

    task.run, task.Request = enclosed, _REQUEST


@contextmanager
def boundary(
    runtime: Runtime, delivery: Delivery, *, again: Callable[[float], Exception] | None = None
) -> Iterator[None]:
    """Around one task's body: a slot in use, ids on every log line, metrics, and an end for every error.

    `again`: what to raise so that the message comes back after that many seconds; None where the ledger rings.
    """
    began, outcome, failure = time.monotonic(), "ok", ""
    meter = runtime.metrics.task(delivery.task, delivery.queue)
    meter.started()
    runtime.metrics.slots(1)
    runtime.progress.claim_made()
    with bind_task(task=delivery.task, task_id=delivery.task_id), runtime.progress.slot(delivery.task):
        try:
            yield
        except (Reject, Retry, Ignore) as signal:  # Celery's own signals, raised on purpose
            outcome = _SIGNALS.get(type(signal), "ignored")
            raise
        except MessageError as error:
            outcome, reason = "rejected", str(error)
            retry_until_accepted(runtime, lambda: dead_letter_task(runtime, delivery, reason))
        except (SteppedAside, BackendError, LedgerError) as error:
            outcome, failure = _ended_early(error), type(error).__name__
            if again is not None and outcome != "refused":
                raise again(getattr(error, "delay_seconds", 0.0) or _AGAIN_SECONDS) from None
        except Exception as error:  # process boundary: one task's defect must not end the worker
            outcome, failure = "failed", type(error).__name__
            log.exception("task failed unexpectedly", kind=failure)
        finally:
            runtime.metrics.slots(-1)
            meter.ended(outcome, time.monotonic() - began, failure)
            runtime.metrics.tasks.labels(delivery.task, outcome).inc()


def _ended_early(error: SteppedAside | BackendError | LedgerError) -> str:
    if isinstance(error, SteppedAside):
        log.info("stepped aside", reason=error.reason)
        return "stepped_aside"
    outcome = "refused" if isinstance(error, BackendError) and not error.retryable else "deferred"
    log.warning("task ended early; the ledger keeps the work", error=str(error), kind=type(error).__name__)
    return outcome


def _again(task: Any, seconds: float) -> Exception:
    try:
        comes_back: Exception = task.retry(countdown=seconds, throw=False)
    except Reject:  # the broker did not take the new message: keep the old one
        comes_back = Reject("the broker is away", requeue=True)
    return comes_back


def _delivery(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Delivery:
    request = task.request
    info = request.delivery_info or {}
    return Delivery(
        task=str(task.name),
        task_id=str(request.id),
        queue=str(info.get("routing_key") or ""),
        args=args,
        kwargs=kwargs,
        retries=int(request.retries or 0),
        redelivered=bool(info.get("redelivered")),
    )

"""A webhook's message on its way into the ledger, or to the dead letters without what it says."""

from contextlib import suppress

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import opaque_id
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.messages import read_webhook
from unstract_worker_core.runs import accept_run
from unstract_worker_core.worker.boundary import accepting
from unstract_worker_core.worker.dead_letters import dead_letter
from unstract_worker_core.worker.delivery import Delivery
from unstract_worker_core.worker.runtime import Runtime
from unstract_worker_general.deliver import RUN_PREFIX
from unstract_worker_general.marking import mark

__all__ = ["accept_webhook"]

_OF_ROWS = ("buffer_row_ids", "organization_id")


def accept_webhook(runtime: Runtime, delivery: Delivery) -> None:
    """Accept a webhook under its message's id. Its organization, if any, is a primary key.

    A message that cannot be read is put aside here and not by the task's boundary, which would keep its arguments: any
    of them may be a URL or a header with a credential.
    """
    try:
        message = read_webhook(delivery.args, delivery.kwargs)
        run_id = RUN_PREFIX + opaque_id(delivery.task_id, field="task_id")
    except MessageError as error:
        _put_aside(runtime, delivery, str(error))
    else:
        accept_run(runtime, run_id, task=RunTask.WEBHOOK, organization_id="", message=message)


def _put_aside(runtime: Runtime, delivery: Delivery, reason: str) -> None:
    def keep() -> None:
        task, queue = delivery.task, delivery.queue
        dead_letter(runtime, task=task, task_id=delivery.task_id, queue=queue, reason=reason, content=None)

    accepting(runtime, keep)
    runtime.metrics.webhook_deliveries.labels("dead").inc()
    rows = {name: delivery.kwargs[name] for name in _OF_ROWS if name in delivery.kwargs}
    with suppress(MessageError):  # then there is no telling which rows they were
        mark(runtime, read_webhook(("http://unread", "unread"), rows), dead=True)

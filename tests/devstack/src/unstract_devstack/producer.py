"""The platform's sending side: the tasks that Django and Beat put on the workers' queues, exactly as they do."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from amqp.exceptions import AMQPError, MessageNacked
from attrs import frozen
from celery import Celery
from kombu.exceptions import OperationalError

BACKEND_CLEANUP_EXPIRES = 12 * 3600.0
API_QUEUE = "celery_api_deployments"
DEFAULT_QUEUE = "celery"
NOTIFICATION_QUEUE = "notifications"


_AT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class SendFailed(RuntimeError):
    """The broker did not take a message."""


@frozen
class StartOptions:
    """What differs between the starts of an execution."""

    pipeline_id: str | None
    use_file_history: bool
    log_events_id: str | None = None


class Producer:
    """A Celery app that only sends. Thread-safe."""

    def __init__(self, broker_url: str, *, quorum_queues: bool = False, confirmed: bool = False) -> None:
        """Connects when it first sends.

        Args:
            broker_url: where to.
            quorum_queues: declare RabbitMQ's quorum queues, as Django does with RABBITMQ_HA_ENABLED.
            confirmed: wait for RabbitMQ's word that it has a message, which Django does not.
        """
        self._app = Celery("backend", broker=broker_url, set_as_current=False)
        self._app.conf.update(
            task_serializer="json",
            accept_content=["json"],
            task_ignore_result=True,
            task_default_queue=DEFAULT_QUEUE,
            broker_connection_retry=False,
            # kombu's own tries before it reports a broker that is gone; without these it takes six seconds.
            broker_transport_options={**_AT_ONCE, **({"confirm_publish": True} if confirmed else {})},
            task_publish_retry=False,
        )
        if quorum_queues:
            self._app.conf.update(task_default_queue_type="quorum", task_create_missing_queue_type="quorum")

    def send(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], queue: str | None = None, **options: Any
    ) -> str:
        """Send one task; returns its id. Raises SendFailed if the broker does not take it."""
        try:
            sent = self._app.send_task(name, args=list(args), kwargs=dict(kwargs), queue=queue, **options)
        except (OperationalError, AMQPError, MessageNacked, OSError) as problem:
            raise SendFailed(f"the broker did not take {name}: {problem}") from problem
        return str(sent.id)

    def start_execution(
        self,
        organization_id: str,
        workflow_id: str,
        execution_id: str,
        files: Mapping[str, Any],
        options: StartOptions,
        queue: str | None,
    ) -> str:
        """async_execute_bin for a row that exists: four positional arguments and all ten keyword arguments."""
        kwargs = {
            "scheduled": False,
            "execution_mode": None,
            "pipeline_id": uuid.UUID(options.pipeline_id) if options.pipeline_id else None,
            "log_events_id": options.log_events_id,
            "use_file_history": options.use_file_history,
            "llm_profile_id": None,
            "hitl_queue_name": None,
            "hitl_packet_id": None,
            "custom_data": None,
            "transport": "celery",
        }
        args = [organization_id, uuid.UUID(workflow_id), uuid.UUID(execution_id), dict(files)]
        return self.send("async_execute_bin", args, kwargs, queue)

    def scheduled_pipeline(self, organization_id: str, workflow_id: str, pipeline_id: str, name: str) -> str:
        """The task that Beat sends when a pipeline's time has come."""
        args = [workflow_id, organization_id, "", "", pipeline_id, False, name]
        return self.send("scheduler.tasks.execute_pipeline_task", args, {})

    def backend_cleanup(self) -> str:
        """celery.backend_cleanup as Beat sends it each day at 04:00 UTC: without a queue, so to the general worker's."""
        return self.send("celery.backend_cleanup", [], {}, expires=BACKEND_CLEANUP_EXPIRES)

    def webhook(self, args: Sequence[Any], kwargs: Mapping[str, Any], queue: str | None) -> str:
        return self.send("send_webhook_notification", args, kwargs, queue)

    def close(self) -> None:
        self._app.close()

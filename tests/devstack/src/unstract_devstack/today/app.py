"""The stand-in's Celery app (contract: tasks 0 and 3) and the queues of its roles."""

from collections.abc import Mapping

from attrs import frozen
from celery import Celery


@frozen
class Role:
    """One of today's workers: its name, and the queues that it consumes unless others are configured."""

    name: str
    queues: tuple[str, ...]

    @property
    def variable(self) -> str:
        """Variable of a comma list that replaces its queues."""
        return f"CELERY_QUEUES_{self.name.upper().replace('-', '_')}"

    def consumed(self, environ: Mapping[str, str]) -> str:
        """The comma list of queues that it consumes."""
        return environ.get(self.variable) or ",".join(self.queues)


ROLES = (
    Role("api-deployment", ("celery_api_deployments",)),
    Role("general", ("celery",)),
    Role("file-processing", ("file_processing", "api_file_processing")),
    Role("callback", ("file_processing_callback", "api_file_processing_callback")),
)

SUFFIX = "_today"
ASIDE = {role.variable: ",".join(f"{name}{SUFFIX}" for name in role.queues) for role in ROLES}
"""Variables by which each role consumes only what our workers hand on to it."""


def role_named(name: str) -> Role:
    """The role of that name. Raises LookupError."""
    for role in ROLES:
        if role.name == name:
            return role
    raise LookupError(f"no role {name!r}: one of {', '.join(role.name for role in ROLES)}")


def make_app(broker_url: str, result_backend: str, *, quorum_queues: bool = False) -> Celery:
    """The app of every role. Chords need all roles on one result backend."""
    app = Celery("today", broker=broker_url, backend=result_backend, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_extended=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        result_chord_retry_interval=0.5,
        broker_connection_retry_on_startup=True,
        broker_transport_options={} if broker_url.startswith("redis") else {"confirm_publish": True},
    )
    if quorum_queues:
        app.conf.update(task_default_queue_type="quorum", task_create_missing_queue_type="quorum")
    return app

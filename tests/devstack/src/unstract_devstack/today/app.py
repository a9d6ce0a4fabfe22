"""The stand-in's Celery app (contract: tasks 0 and 3), the queues of its roles, and these as processes beside ours."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from attrs import frozen
from celery import Celery

from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until

READY_SECONDS = 240.0
STOP_SECONDS = 10.0


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


@contextlib.contextmanager
def running_today(environment: Mapping[str, str], logs: Path, *, roles: Sequence[str]) -> Iterator[None]:
    """Stand-ins of these roles that consume, until the block is left.

    Args:
        environment: what configures them, with `CELERY_RESULT_BACKEND`.
        logs: where ``today-<role>.log`` of each is appended.

    Raises:
        ProcessError: one did not start.
    """
    logs.mkdir(parents=True, exist_ok=True)
    processes = [_process(environment, logs, role_named(role).name) for role in roles]
    with contextlib.ExitStack() as parts:
        for process in processes:
            process.start()
            parts.callback(process.kill)
        for process in processes:
            process.await_ready(partial(_consumes, process), seconds=READY_SECONDS, pause=0.05)
        yield
        for process in processes:
            process.terminate()
        wait_until(lambda: not any(process.running for process in processes), seconds=STOP_SECONDS)


def _process(environment: Mapping[str, str], logs: Path, role: str) -> ManagedProcess:
    own = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore", "USER": os.environ.get("USER", "")}
    return ManagedProcess(
        name=f"today's {role}",
        command=(sys.executable, "-m", "unstract_devstack.today", role),
        environment={**inherited_environment(), **own, **environment},
        log_path=logs / f"today-{role}.log",
        output_path=logs / f"today-{role}.out",
    )


def _consumes(process: ManagedProcess) -> bool:
    return " ready." in process.log_tail(lines=200)

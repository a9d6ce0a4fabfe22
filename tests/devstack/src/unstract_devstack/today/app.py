"""The stand-in's Celery app (contract: tasks 0 and 3), the queues of its roles, and these as processes beside ours."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from celery import Celery

from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until

READY_SECONDS = 240.0
STOP_SECONDS = 10.0


ROLES = {
    "api-deployment": ("celery_api_deployments",),
    "general": ("celery",),
    "file-processing": ("file_processing", "api_file_processing"),
    "callback": ("file_processing_callback", "api_file_processing_callback"),
}
"""Today's workers, and the queues that each consumes unless others are configured."""
SUFFIX = "_today"


def variable(role: str) -> str:
    """The variable of a comma list that replaces a role's queues."""
    return f"CELERY_QUEUES_{role.upper().replace('-', '_')}"


ASIDE = {variable(role): ",".join(f"{name}{SUFFIX}" for name in queues) for role, queues in ROLES.items()}
"""Variables by which each role consumes only what our workers hand on to it."""


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
    processes = [_process(environment, logs, role) for role in roles]
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

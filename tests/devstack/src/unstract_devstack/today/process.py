"""Today's workers as processes of their own, beside ours."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until
from unstract_devstack.today.app import role_named

READY_SECONDS = 240.0
STOP_SECONDS = 10.0


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

"""The command line, taken apart."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unstract_deploy.fleet import ENVIRONMENTS, WORKERS, Environment, Worker, worker_called

__all__ = ["ACTIONS", "Request", "parse"]

ACTIONS = ("deploy", "stop", "restart", "status", "logs", "rollback", "scale")


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for. `counts` is only there for scale; `all_workers` if none was named."""

    environment: Environment
    action: str
    workers: tuple[Worker, ...]
    counts: dict[str, int]
    all_workers: bool
    variables_file: Path
    state: Path
    dry_run: bool
    health_seconds: float
    lines: int
    follow: bool


def parse(arguments: Sequence[str] | None) -> Request:
    """The request; ends with exit code 2 and the reason if it makes no sense."""
    parser = _parser()
    told = parser.parse_args(arguments)
    environment = ENVIRONMENTS[told.environment]
    try:
        workers, counts = _workers(told.workers, scale=told.action == "scale")
    except ValueError as error:
        parser.error(str(error))
    return Request(
        environment=environment,
        action=told.action,
        workers=workers,
        counts=counts,
        all_workers=told.workers is None,
        variables_file=(told.env_file or environment.variables_file).resolve(),
        state=(told.state or environment.compose_file.parent / "state" / environment.name).resolve(),
        dry_run=told.dry_run,
        health_seconds=told.health_timeout,
        lines=told.lines,
        follow=told.follow,
    )


def _workers(told: str | None, *, scale: bool) -> tuple[tuple[Worker, ...], dict[str, int]]:
    if told is None:
        if scale:
            raise ValueError("scale needs --workers with numbers, such as file=3,callback=2")
        return WORKERS, {}
    counts: dict[str, int] = {}
    for part in told.split(","):
        name, equals, number = part.strip().partition("=")
        if bool(equals) != scale:
            raise ValueError("numbers belong to scale, and only there: --workers file=3")
        if scale and not (number.isdecimal() and int(number) >= 1):
            raise ValueError(f"{name}: the number of containers is 1 or more; to have none, stop it")
        counts[worker_called(name).service] = int(number) if scale else 0
    return tuple(worker for worker in WORKERS if worker.service in counts), counts if scale else {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deploy.sh", description="Rolls the workers out, one at a time.")
    parser.add_argument("--environment", required=True, choices=sorted(ENVIRONMENTS))
    parser.add_argument("--action", required=True, choices=ACTIONS)
    parser.add_argument("--workers", metavar="NAME,...", help="callback, file, general, api; with scale NAME=NUMBER")
    parser.add_argument("--dry-run", action="store_true", help="check the environment file, say what would be done")
    parser.add_argument("--env-file", type=Path, help="instead of docker/environments/<environment>.env")
    parser.add_argument("--state", type=Path, help="where releases are remembered (docker/state/<environment>)")
    parser.add_argument("--health-timeout", type=float, default=120.0, metavar="SECONDS")
    parser.add_argument("--lines", type=int, default=100, help="of each log")
    parser.add_argument("--follow", action="store_true", help="keep showing the logs")
    return parser

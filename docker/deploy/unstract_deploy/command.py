"""The command: checks first, then the action.

Exit codes: 0 done, 1 failed, 2 refused before anything was touched, 130 interrupted.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from unstract_deploy.engine import find_engine
from unstract_deploy.environment import Variables, read_variables, secret_problems, wanted_pins
from unstract_deploy.fleet import ENVIRONMENTS, WORKERS, DeployFailed, Refused, Releases, Worker
from unstract_deploy.rollout import Rollout

__all__ = ["main"]

_LONGEST_WAIT = 86400.0
ACTIONS = ("deploy", "stop", "restart", "status", "logs", "rollback", "scale")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = _parsed(arguments)
    try:
        variables = read_variables(options.env_file, options.environment)
        pins = wanted_pins(variables.values, options.environment)
        starts = options.action in ("deploy", "rollback", "restart", "scale")
        problems = secret_problems(variables.values, options.environment) if starts else []
        if options.dry_run:
            return _plan(options, len(variables.values), pins, problems)
        if problems:
            raise Refused(*problems)
        _act(options, variables, pins)
    except Refused as refused:
        reasons = "".join(f"\n  {problem}" for problem in refused.args)
        sys.stderr.write(f"refused, nothing was touched ({options.env_file}):{reasons}\n")
        return 2
    except DeployFailed as error:
        sys.stderr.write(f"{options.action} failed: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{options.action} interrupted: --action status shows what runs\n")
        return 130
    return 0


def _act(options: argparse.Namespace, variables: Variables, pins: dict[str, str]) -> None:
    say, releases = _narrator(), Releases(options.state)
    engine = find_engine(options.environment, say)
    rollout = Rollout(tuple(options.counts), engine, releases, options.health_timeout, say)
    if options.action == "status":
        return rollout.status()
    if options.action == "logs":
        follow, services = ("--follow",) if options.follow else (), (worker.service for worker in options.counts)
        return engine.show_logs("--tail", str(options.lines), *follow, *services, variables=options.env_file)
    with releases.lock():
        match options.action:
            case "deploy":
                rollout.deploy(releases.keep_variables(variables.text), pins, check=not options.skip_check)
            case "rollback":
                rollout.rollback()
            case "restart":
                rollout.restart()
            case "scale":
                rollout.scale(options.counts)
            case "stop":
                rollout.stop(redis=options.workers is None)
    return say(f"{options.action}: done")


def _plan(options: argparse.Namespace, variables: int, pins: dict[str, str], problems: list[str]) -> int:
    """Says what the action would do, and what would stop it on this machine. Returns the action's exit code."""
    say, releases, engine = _narrator(), Releases(options.state), None
    say(f"{options.env_file}: {variables} variables, no fault")
    code = 2 if problems else 0
    try:
        engine = find_engine(options.environment, say)
    except DeployFailed as error:
        problems.append(str(error))
    for problem in problems:
        say(f"would stop here: {problem}")
    for worker, count in options.counts.items():
        running = [each.image for each in engine.containers(worker.service) if each.running] if engine else ["unknown"]
        wanted = {
            "deploy": pins[worker.image_variable],
            "rollback": getattr(releases.previous(worker), "image", "nothing before it"),
            "restart": getattr(releases.current(worker), "image", "nothing deployed"),
            "scale": f"{count} containers",
        }.get(options.action, options.action)
        say(f"{worker.service}: {', '.join(running) or 'nothing'} -> {wanted}")
    say(f"{options.action}: dry run, nothing was touched")
    return code or (1 if problems else 0)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with its defaults filled in; ends with exit code 2 and the reason if it makes no sense."""
    parser = argparse.ArgumentParser(prog="deploy.sh", description="Rolls the workers out, one at a time.")
    add = parser.add_argument
    add("--environment", required=True, choices=sorted(ENVIRONMENTS))
    add("--action", required=True, choices=ACTIONS)
    add("--workers", metavar="NAME,...", help="callback, file, general, api; with scale NAME=NUMBER")
    add("--dry-run", action="store_true", help="check the environment file, say what would be done")
    add("--env-file", type=Path, help="instead of docker/environments/<environment>.env")
    add("--state", type=Path, help="where releases are remembered (docker/state/<environment>)")
    add("--health-timeout", type=_seconds, default=120.0, metavar="SECONDS", help="limit of each wait for a container")
    add("--skip-check", action="store_true", help="do not run `check` in a new container before the old one drains")
    add("--lines", type=int, default=100, help="of each log")
    add("--follow", action="store_true", help="keep showing the logs")
    options = parser.parse_args(arguments)
    options.environment = environment = ENVIRONMENTS[options.environment]
    docker = environment.compose_file.parent
    options.env_file = (options.env_file or docker / "environments" / f"{environment.name}.env").resolve()
    options.state = (options.state or docker / "state" / environment.name).resolve()
    try:
        options.counts = _counts(options.workers, scale=options.action == "scale")
    except ValueError as error:
        parser.error(str(error))
    return options


def _seconds(given: str) -> float:
    """A limit of a wait; never none at all, as "nan" would be."""
    seconds = float(given)
    if not 0 < seconds <= _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{given} is not between 0 and {_LONGEST_WAIT:g} seconds")
    return seconds


def _counts(given: str | None, *, scale: bool) -> dict[Worker, int]:
    """The named workers in the order of deployment, with their numbers of containers. Raises ValueError."""
    if given is None and scale:
        raise ValueError("scale needs --workers with numbers, such as file=3,callback=2")
    counts: dict[str, int] = {}
    for part in (worker.service for worker in WORKERS) if given is None else given.split(","):
        name, equals, number = part.strip().partition("=")
        worker = next((worker for worker in WORKERS if name in worker), None)
        if worker is None:
            raise ValueError(f"no worker is called {name!r}: {', '.join(worker.service for worker in WORKERS)}")
        if bool(equals) != scale:
            raise ValueError("numbers belong to scale, and only there: --workers file=3")
        if scale and not (number.isdecimal() and int(number) >= 1):
            raise ValueError(f"{name}: the number of containers is 1 or more; to have none, stop it")
        counts[worker.service] = int(number or 0)
    return {worker: counts[worker.service] for worker in WORKERS if worker.service in counts}


def _narrator() -> Callable[[str], None]:
    """A function that prints a line of progress, with the seconds since now."""
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"[{time.monotonic() - began:5.0f} s] {text}\n")
        sys.stdout.flush()

    return say

"""The command line of docker/deploy.sh: checks first, then the action.

Exit codes: 0 done, 1 failed, 2 refused before anything was touched, 130 interrupted.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from unstract_deploy import DeployFailed, Refused
from unstract_deploy.engine import find_engine, say
from unstract_deploy.environment import DEVELOPMENT, DOCKER, WORKERS, Variables, pin_of, read_variables
from unstract_deploy.releases import Release, Releases
from unstract_deploy.rollout import REDIS, Rollout

__all__ = ["main"]

LONGEST_WAIT = 86400.0
STARTING = ("deploy", "restart", "rollback", "scale")  # they need the secrets
ACTIONS = (*STARTING, "stop", "status", "logs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = _parsed(arguments)
    try:
        variables = read_variables(options.env_file, options.environment)
        problems = variables.secret_problems if options.action in STARTING else []
        if options.dry_run:
            return _plan(options, variables, problems)
        if problems:
            raise Refused(*problems)
        _act(options, variables)
    except Refused as refused:
        reasons = "".join(f"\n  {problem}" for problem in refused.args)
        sys.stderr.write(f"refused, nothing was touched ({options.env_file}):{reasons}\n")
        return 2
    except (DeployFailed, OSError) as error:
        sys.stderr.write(f"{options.action} failed: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{options.action} interrupted: --action status shows what runs\n")
        return 130
    return 0


def _act(options: argparse.Namespace, variables: Variables) -> None:
    engine, releases, workers = find_engine(options.environment), Releases(options.state), tuple(options.workers)
    rollout = Rollout(engine, releases, options.health_timeout)
    if options.action == "status":
        return rollout.status((*workers, REDIS))
    if options.action == "logs":
        follow = ("--follow",) if options.follow else ()
        return engine.show_logs("--tail", str(options.lines), *follow, *workers, variables=str(options.env_file))
    with releases.lock():
        wanted = _wanted(options.action, workers, variables, releases)
        if options.action == "stop":  # those that receive from outside first
            rollout.stop((*reversed(workers), *((REDIS,) if options.all else ())))
        elif options.action == "deploy":
            kept = str(releases.keep_variables(variables.text))
            rollout.prepare(workers, kept, variables.pins)
            rollout.roll({each: Release(wanted[each].image, kept) for each in workers}, check=not options.skip_check)
        elif options.action == "rollback" and wanted:
            rollout.roll(wanted)
        elif missing := [each for each in workers if each not in wanted or not Path(wanted[each].variables).exists()]:
            raise DeployFailed(f"nothing is remembered here of {', '.join(missing)}; deploy what you want to have")
        elif options.action == "restart":
            rollout.roll(wanted)
        else:
            rollout.scale(wanted, options.workers)
    return say(f"{options.action}: done")


def _wanted(action: str, workers: Sequence[str], variables: Variables, releases: Releases) -> dict[str, Release]:
    """The releases that the workers have after an action; a worker without one is left out."""
    recorded = releases.recorded("previous" if action == "rollback" else "current")
    if action == "deploy":
        return {worker: Release(variables.pins[pin_of(worker)], "") for worker in workers}
    return {worker: recorded[worker] for worker in workers if worker in recorded}


def _plan(options: argparse.Namespace, variables: Variables, problems: list[str]) -> int:
    """Says what the action would do, and what would stop it on this machine. Returns the action's exit code."""
    say(f"{options.env_file}: {len(variables.values)} variables, no fault")
    engine, code = None, 2 if problems else 0
    try:
        engine = find_engine(options.environment)
    except DeployFailed as error:
        problems = [*problems, str(error)]
    for problem in problems:
        say(f"would stop here: {problem}")
    wanted = _wanted(options.action, tuple(options.workers), variables, Releases(options.state))
    for worker, number in options.workers.items():
        there = [each.image for each in engine.containers(worker).values() if each.running] if engine else ["unknown"]
        then = f"{number} containers" if options.action == "scale" else options.action
        if options.action in ("deploy", "rollback", "restart"):
            then = wanted[worker].image if worker in wanted else "nothing is remembered"
        say(f"{worker}: {', '.join(there) or 'nothing'} -> {then}")
    say(f"{options.action}: dry run, nothing was touched")
    return code or (1 if problems else 0)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with its defaults filled in; ends with exit code 2 and the reason if it makes no sense."""
    parser = argparse.ArgumentParser(prog="deploy.sh", description="Rolls the workers out, one at a time.")
    add = parser.add_argument
    add("--environment", required=True, choices=(DEVELOPMENT, "production", "staging"))
    add("--action", required=True, choices=ACTIONS)
    add("--workers", type=_workers, metavar="NAME,...", help="callback, file, general, api; with scale NAME=NUMBER")
    add("--dry-run", action="store_true", help="check the environment file, say what would be done")
    add("--env-file", type=Path, help="instead of docker/environments/<environment>.env")
    add("--state", type=Path, help="where releases are remembered (docker/state/<environment>)")
    add("--health-timeout", type=_seconds, default=120.0, metavar="SECONDS", help="limit of each wait for a container")
    add("--skip-check", action="store_true", help="do not run `check` in a new container before the old one drains")
    add("--lines", type=int, default=100, help="of each log")
    add("--follow", action="store_true", help="keep showing the logs")
    options = parser.parse_args(arguments)
    options.all = options.workers is None
    options.workers = dict.fromkeys(WORKERS) if options.all else options.workers
    if any((number is None) is (options.action == "scale") for number in options.workers.values()):
        parser.error("numbers belong to scale, which needs them, and only there: --workers file=3,callback=2")
    options.env_file = (options.env_file or DOCKER / "environments" / f"{options.environment}.env").resolve()
    options.state = (options.state or DOCKER / "state" / options.environment).resolve()
    return options


def _seconds(given: str) -> float:
    """A limit of a wait; never none at all, as "nan" would be."""
    seconds = float(given)
    if not 0 < seconds <= LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{given} is not between 0 and {LONGEST_WAIT:g} seconds")
    return seconds


def _workers(given: str) -> dict[str, int | None]:
    """The named workers in the order of deployment, with the numbers of containers that are given."""
    numbers: dict[str, int | None] = {}
    for part in given.split(","):
        name, equals, number = part.strip().partition("=")
        worker = next((worker for worker in WORKERS if name in (worker, worker.partition("-")[0])), None)
        if worker is None:
            raise argparse.ArgumentTypeError(f"no worker is called {name!r}: {', '.join(WORKERS)}")
        if equals and not re.fullmatch("[1-9][0-9]*", number):
            raise argparse.ArgumentTypeError(f"{name}: the number of containers is 1 or more; to have none, stop it")
        numbers[worker] = int(number) if equals else None
    return {worker: numbers[worker] for worker in WORKERS if worker in numbers}


if __name__ == "__main__":
    sys.exit(main())

"""The command: checks first, then the action; exit code 0 done, 1 failed, 2 refused before anything was touched."""

import sys
import time
from collections.abc import Callable, Sequence

from unstract_deploy.actions import Deployment
from unstract_deploy.arguments import Request, parse
from unstract_deploy.engine import Engine, find_engine
from unstract_deploy.failures import DeployFailed, EnvironmentFault
from unstract_deploy.machine import secret_problems
from unstract_deploy.pins import wanted_pins
from unstract_deploy.releases import Releases
from unstract_deploy.rolling import Rolling
from unstract_deploy.variables import Variables, read_variables

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line asks for; returns the exit code."""
    request = parse(arguments)
    try:
        variables = read_variables(request.variables_file, request.environment)
        pins = wanted_pins(variables.values, request.environment)
        if request.dry_run:
            _plan(request, variables, pins)
        else:
            _act(request, variables, pins)
    except EnvironmentFault as fault:
        problems = "".join(f"\n  {problem}" for problem in fault.problems)
        sys.stderr.write(f"refused, nothing was touched ({request.variables_file}):{problems}\n")
        return 2
    except DeployFailed as error:
        sys.stderr.write(f"{request.action} failed: {error}\n")
        return 1
    return 0


def _act(request: Request, variables: Variables, pins: dict[str, str]) -> None:
    if request.action in ("deploy", "rollback", "restart", "scale"):
        problems = tuple(secret_problems(variables.values, request.environment))
        if problems:
            raise EnvironmentFault(problems)
    engine, say, releases = find_engine(request.environment), _narrator(), Releases(request.state)
    deployment = Deployment(request, engine, releases, Rolling(engine, say, request.health_seconds), say)
    if request.action in ("status", "logs"):
        _call(deployment, variables, pins)
        return
    with releases.lock():
        _call(deployment, variables, pins)
    say(f"{request.action}: done")


def _call(deployment: Deployment, variables: Variables, pins: dict[str, str]) -> None:
    if deployment.request.action == "deploy":
        deployment.deploy(variables, pins)
        return
    actions: dict[str, Callable[[], None]] = {
        "rollback": deployment.rollback,
        "restart": deployment.restart,
        "scale": deployment.scale,
        "stop": deployment.stop,
        "status": deployment.status,
        "logs": deployment.logs,
    }
    actions[deployment.request.action]()


def _plan(request: Request, variables: Variables, pins: dict[str, str]) -> None:
    """Says what would be done, and what would stop it on this machine."""
    say, releases = _narrator(), Releases(request.state)
    say(f"{request.variables_file}: {len(variables.values)} variables, no fault")
    engine: Engine | None = None
    try:
        engine = find_engine(request.environment)
    except DeployFailed as error:
        say(f"would stop here: {error}")
    for problem in secret_problems(variables.values, request.environment):
        say(f"would stop here: {problem}")
    for worker in request.workers:
        running = "unknown"
        if engine is not None:
            running = ", ".join(each.image for each in engine.containers(worker.service) if each.running) or "nothing"
        wanted = {
            "deploy": pins[worker.image_variable],
            "rollback": getattr(releases.previous(worker), "image", "nothing before it"),
            "restart": getattr(releases.current(worker), "image", "nothing deployed"),
            "scale": f"{request.counts.get(worker.service)} containers",
        }.get(request.action, request.action)
        say(f"{worker.service}: {running} -> {wanted}")
    say(f"{request.action}: dry run, nothing was touched")


def _narrator() -> Callable[[str], None]:
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"[{time.monotonic() - began:5.0f} s] {text}\n")
        sys.stdout.flush()

    return say

"""The app for Celery's own command line; each command and option of it works, has no effect, or is refused."""

import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click
from attrs import frozen
from celery import Celery
from celery.platforms import parse_gid, parse_uid
from click.core import ParameterSource

from unstract_worker_core.config import parsers as p
from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.worker.cli import make_process
from unstract_worker_core.worker.definition import WorkerDefinition, refuse_start
from unstract_worker_core.worker.drain import is_supported_pool

log = get_logger(__name__)


class Effect(StrEnum):
    """How a command or an option is treated."""

    WORKS = "works"
    IGNORED = "ignored with a warning"
    UNANSWERED = "no worker answers, with a warning"
    REFUSED = "refused"


@frozen
class Command:
    """Commands of `celery` with one effect. `note`: why, or what to use instead."""

    names: str
    effect: Effect
    note: str


@frozen
class Option:
    """Options of `celery` or `celery worker` with one effect. `note`: why, or what to use instead."""

    flags: str
    effect: Effect
    note: str


COMMANDS = (
    Command("worker", Effect.WORKS, "the same as `run`; its options are below"),
    Command("multi", Effect.WORKS, "each node is a `worker`"),
    Command("report list graph logtool upgrade", Effect.WORKS, "they change no server; logtool reads Celery's text"),
    Command("call", Effect.WORKS, "the message goes to the worker's first queue"),
    Command("inspect status events flower", Effect.UNANSWERED, "remote control and events are off: use fleet and runs"),
    Command("purge", Effect.REFUSED, "would delete start messages: runs abort ends executions"),
    Command("amqp", Effect.REFUSED, "can empty and delete queues: rabbitmqctl and redis-cli show them"),
    Command("migrate", Effect.REFUSED, "takes messages off a broker: let the workers empty the old one, then switch"),
    Command("beat", Effect.REFUSED, "the platform has its own Celery Beat"),
    Command("control", Effect.REFUSED, "these workers do not listen, others on the broker would: use SIGTERM and runs"),
    Command("shell", Effect.REFUSED, "bypasses the ledger: use check, fleet, runs and dead-letters"),
    Command("result", Effect.REFUSED, "tasks have no results: use runs show"),
)  # fmt: skip
OPTIONS = (
    Option("--app --workdir --no-color --quiet --skip-checks", Effect.WORKS, ""),
    Option("--hostname --concurrency --queues --exclude-queues --include", Effect.WORKS,
        "doorbell queues are consumed in any case"),
    Option("--max-tasks-per-child --max-memory-per-child --optimization", Effect.WORKS,
        "with prefork; with threads ignored with a warning"),
    Option("--detach --logfile --pidfile --uid --gid --umask --executable", Effect.WORKS,
        "the file gets the same JSON lines; --detach needs it or LOG_FILE; each node needs a health port of its own"),
    Option("--without-gossip --without-mingle --without-heartbeat", Effect.WORKS, "always so"),
    Option("--broker --result-backend", Effect.IGNORED, "CELERY_BROKER_BASE_URL, CHORD_COMPAT"),
    Option("--loglevel", Effect.IGNORED, "LOG_LEVEL"),
    Option("--pool", Effect.IGNORED, "CELERY_POOL; refused are gevent, eventlet, solo and all but threads and prefork"),
    Option("--prefetch-multiplier --disable-prefetch --task-events", Effect.IGNORED, "guards the ledger"),
    Option("--time-limit --soft-time-limit", Effect.IGNORED, "FILE_EXECUTION_TIMEOUT, WORKER_STUCK_SLOT_SECONDS"),
    Option("--heartbeat-interval", Effect.IGNORED, "events are off; see fleet"),
    Option("--autoscale", Effect.REFUSED, "replicas are scaled, not slots: see scaling"),
    Option("--purge", Effect.REFUSED, "would delete start messages"),
    Option("--beat --schedule-filename --scheduler", Effect.REFUSED, "the platform has its own Celery Beat"),
    Option("--statedb", Effect.REFUSED, "remote control is off: nothing is revoked"),
    Option("--pool-start-method", Effect.REFUSED, "children are forked"),
    Option("--loader --config", Effect.REFUSED, "settings come from environment variables"),
)  # fmt: skip
_BY_NAME = {name: command for command in COMMANDS for name in command.names.split()}
_BY_FLAG = {flag: option for option in OPTIONS for flag in option.flags.split()}
_OF_CHILDREN = ("--max-tasks-per-child", "--max-memory-per-child", "--optimization")


def _user(name: str) -> None:
    pwd.getpwuid(parse_uid(name))
    if os.geteuid():
        raise ValueError("only root can become another user")


def _program(name: str) -> None:
    if not os.access(name, os.X_OK):
        raise ValueError(f"{name} is no program that can be run")


def _file(name: str) -> None:
    with TemporaryFile(dir=Path(name).parent):
        pass


def _modules(names: Sequence[str]) -> None:
    for name in names:
        import_module(name)


# Values that Celery would find wrong while it starts, with a traceback or, once detached, without a word; queues and
# slots it would take.
_TRIALS: Mapping[str, Callable[[Any], object]] = {
    "--uid": _user,
    "--gid": parse_gid,
    "--umask": lambda mask: int(mask, 8),
    "--pidfile": _file,
    "--logfile": _file,
    "--executable": _program,
    "--include": _modules,
    "--queues": lambda names: p.names(",".join(names)),
    "--concurrency": lambda slots: isinstance(slots, int) and p.integer(1, 1000)(str(slots)),
}


def app_of(definition: WorkerDefinition) -> Celery:
    """The app for ``celery -A package``, made from the environment.

    Exits with 2 where that cannot be used, or where Celery is to run a command or an option that is refused.
    """
    process = make_process(definition)

    def check(context: click.Context) -> None:
        try:
            check_command_line(context, process.settings.logging.file, process.settings.process.pool)
        except ConfigurationError as error:
            refuse_start(definition, error)

    process.app.user_options["preload"].add(CheckFirst(check))
    ignore_variables_of_options()
    return process.app


class CheckFirst(click.Option):
    """Calls a function with each command's context before the command runs. It cannot be typed.

    Celery adds it to all its commands as one of the app's preload options, however the app was named or started. click
    processes what was not typed after everything else, so that the function sees all other options.
    """

    def __init__(self, check: Callable[[click.Context], None]) -> None:
        def callback(context: click.Context, _parameter: click.Parameter, _value: object) -> None:
            check(context)

        names = ["--check-first"]
        super().__init__(names, hidden=True, expose_value=False, allow_from_autoenv=False, callback=callback)

    def add_to_parser(self, *_: object) -> None:
        """It is no option for the parser."""


def ignore_variables_of_options() -> None:
    """Keep `celery` from reading the options of its commands from variables, such as CELERY_WORKER_PURGE."""
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().command.name == "celery":
        context.find_root().auto_envvar_prefix = None


def check_command_line(context: click.Context, log_file: str | None, pool: str) -> None:
    """Refuse commands and options of Celery's that would harm; warn about those that have no effect.

    Called before the command does anything, so that what is refused is said in the terminal that it was typed in.

    Args:
        context: of the command.
        log_file: LOG_FILE.
        pool: CELERY_POOL, ``threads`` or ``prefork``.

    Raises:
        ConfigurationError: what is refused.
    """
    name = context.command.name or ""
    command = _BY_NAME.get(name)
    if command is None or command.effect is Effect.REFUSED:
        why = command.note if command else "it is no command of Celery's own"
        raise ConfigurationError((Fault(f"celery {name}", f"is refused: {why}"),))
    if command.effect is Effect.UNANSWERED:
        log.warning("no worker answers this command", command=name, reason=command.note)
    if name == "worker":
        _check_options(context, log_file, pool)


def _check_options(context: click.Context, log_file: str | None, pool: str) -> None:
    given = _given(context)
    faults = tuple(_faults(given, log_file))
    if faults:
        raise ConfigurationError(faults)
    for flag in given:
        option = _BY_FLAG[flag]
        if option.effect is Effect.IGNORED:
            log.warning("the command line's option has no effect", option=flag, instead=option.note)
        elif flag in _OF_CHILDREN and pool != "prefork":
            log.warning("the command line's option has no effect", option=flag, instead="CELERY_POOL=prefork")


def _faults(given: dict[str, object], log_file: str | None) -> Iterator[Fault]:
    for flag, value in given.items():
        option = _BY_FLAG.get(flag)
        if option is None or option.effect is Effect.REFUSED:
            yield Fault(flag, f"is refused: {option.note if option else 'it is not known'}")
        elif flag == "--pool" and isinstance(value, type) and not is_supported_pool(value):
            name = value.__module__.rpartition(".")[2]
            yield Fault(flag, f"{name} is refused: the workers run in threads or prefork only (CELERY_POOL)")
        elif flag in _TRIALS and (problem := _problem_of(_TRIALS[flag], value)):
            yield Fault(flag, problem)
    if "--detach" in given and "--logfile" not in given and log_file is None:
        yield Fault("--detach", "needs --logfile or LOG_FILE: without one every log line of the process is lost")


def _problem_of(trial: Callable[[Any], object], value: object) -> str:
    try:
        trial(value)
    except OSError as error:
        return f"{value} cannot be opened for writing: {error.strerror}"
    except (ImportError, LookupError, ValueError) as error:
        return str(error.args[0])
    return ""


def _given(context: click.Context) -> dict[str, object]:
    return {
        long_flag(each): level.params.get(each.name or "")
        for level in (context.find_root(), context)
        for each in level.command.params
        if isinstance(each, click.Option) and level.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE
    }


def long_flag(option: click.Option) -> str:
    """The flag under which an option is listed here: the first long one."""
    return next((flag for flag in option.opts if flag.startswith("--")), option.opts[0])

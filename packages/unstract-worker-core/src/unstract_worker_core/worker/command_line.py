"""What becomes of each option of Celery's own command: it works, is ignored with a warning, or is refused."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import click
from attrs import frozen

from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.observability.logs import get_logger

log = get_logger(__name__)


class Effect(StrEnum):
    """What becomes of an option."""

    WORKS = "works"
    IGNORED = "ignored with a warning"
    REFUSED = "refused"


@frozen
class Option:
    """Options of `celery` or `celery worker` with one effect. `note`: why, or what to use instead."""

    flags: str
    effect: Effect
    note: str


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
_BY_FLAG = {flag: option for option in OPTIONS for flag in option.flags.split()}
_POOLS = ("prefork", "processes", "threads")
_OF_CHILDREN = ("--max-tasks-per-child", "--max-memory-per-child", "--optimization")


def check_command_line(log_file: str | None, pool: str) -> None:
    """Warn about options of `celery worker` that have no effect. The workers' own commands have none of them.

    Called before Celery detaches, so that what is refused is said in the terminal.

    Args:
        log_file: LOG_FILE.
        pool: CELERY_POOL, ``threads`` or ``prefork``.

    Raises:
        ConfigurationError: options that are refused.
    """
    given = _given()
    faults = tuple(_faults(given, log_file))
    if faults:
        raise ConfigurationError(faults)
    for flag in given:
        option = _BY_FLAG[flag]
        if option.effect is Effect.IGNORED:
            log.warning("the command line's option has no effect", option=flag, instead=option.note)
        elif flag in _OF_CHILDREN and pool != "prefork":
            log.warning("the command line's option has no effect", option=flag, instead="CELERY_POOL=prefork")


def _faults(given: Mapping[str, object], log_file: str | None) -> Iterator[Fault]:
    for flag, value in given.items():
        option = _BY_FLAG.get(flag)
        if option is None or option.effect is Effect.REFUSED:
            yield Fault(flag, f"is refused: {option.note if option else 'it is not known'}")
        elif flag == "--pool" and value not in _POOLS:
            yield Fault(flag, f"{value} is refused: the workers run in threads or prefork only (CELERY_POOL)")
    if "--detach" in given and "--logfile" not in given and log_file is None:
        yield Fault("--detach", "needs --logfile or LOG_FILE: without one every log line of the process is lost")


def _given() -> dict[str, object]:
    """The options of Celery's worker command as they were typed, by their first long flag; none elsewhere."""
    context = click.get_current_context(silent=True)
    root = context.find_root() if context else None
    if root is None or root.command.name != "celery" or not isinstance(root.command, click.Group):
        return {}
    worker = root.command.commands["worker"]
    try:  # the group's own arguments are consumed by now, and the worker's are not read yet
        of_group, rest = _typed(root, sys.argv[1:])
        if rest[:1] != ["worker"]:
            return {}
        of_worker, _ = _typed(click.Context(worker, root, "worker"), rest[1:])
    except click.UsageError:  # Celery says it
        return {}
    return of_group | of_worker


def _typed(context: click.Context, arguments: Sequence[str]) -> tuple[dict[str, object], list[str]]:
    """The options among the arguments with their values, and the arguments that are none."""
    values, rest, order = context.command.make_parser(context).parse_args(list(arguments))
    return {long_flag(each): values[each.name] for each in order if isinstance(each, click.Option)}, rest


def long_flag(option: click.Option) -> str:
    """The flag under which an option is listed here: the first long one."""
    return next((flag for flag in option.opts if flag.startswith("--")), option.opts[0])

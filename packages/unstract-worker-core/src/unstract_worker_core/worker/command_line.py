"""What becomes of each option of Celery's own command: it works, is ignored with a warning, or is refused."""

from collections.abc import Iterator
from enum import StrEnum

import click
from attrs import frozen
from click.core import ParameterSource

from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.observability.logs import get_logger

__all__ = ["OPTIONS", "Effect", "Option", "check_command_line"]

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
    Option("--max-tasks-per-child --max-memory-per-child --optimization", Effect.WORKS, "with prefork"),
    Option("--detach --logfile --pidfile --uid --gid --umask --executable", Effect.WORKS,
        "the file gets the same JSON lines; each node needs a health port of its own"),
    Option("--without-gossip --without-mingle --without-heartbeat", Effect.WORKS, "always so"),
    Option("--broker --result-backend", Effect.IGNORED, "CELERY_BROKER_BASE_URL, CHORD_COMPAT"),
    Option("--loglevel", Effect.IGNORED, "LOG_LEVEL"),
    Option("--pool", Effect.IGNORED, "CELERY_POOL"),
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


def check_command_line() -> None:
    """Warn about options that have no effect. Raises ConfigurationError for those that are refused."""
    faults = []
    for flag in _given():
        found = next((option for option in OPTIONS if flag in option.flags.split()), None)
        if found is None or found.effect is Effect.REFUSED:
            faults.append(Fault(flag, f"is refused: {found.note if found else 'it is not known'}"))
        elif found.effect is Effect.IGNORED:
            log.warning("the command line's option has no effect", option=flag, instead=found.note)
    if faults:
        raise ConfigurationError(tuple(faults))


def _given() -> Iterator[str]:
    """Long flags that were given to Celery's command; none where our own entry point runs."""
    context = click.get_current_context(silent=True)
    if context is None or context.command.name != "worker" or context.parent is None:
        return
    for level in (context.parent, context):
        for parameter in level.command.params:
            named = parameter.name and level.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
            if named and isinstance(parameter, click.Option):
                yield long_flag(parameter)


def long_flag(option: click.Option) -> str:
    """The flag under which an option is listed here: the first long one."""
    return next((flag for flag in option.opts if flag.startswith("--")), option.opts[0])

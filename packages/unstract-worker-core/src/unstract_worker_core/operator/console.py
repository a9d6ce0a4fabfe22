"""What operators' commands share: access without a backend key, confirmation, exit codes, a log line, tables."""

import getpass
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import NoReturn, TypeVar

import click
import stamina
from attrs import frozen

from unstract_worker_core.config import Settings
from unstract_worker_core.errors import LedgerError
from unstract_worker_core.fleet import Fleet
from unstract_worker_core.ledger import Ledger
from unstract_worker_core.ledger.operator import Operator
from unstract_worker_core.observability.logs import Redactor, get_logger
from unstract_worker_core.operator.check import known_cause, printable_line
from unstract_worker_core.redis import connect
from unstract_worker_core.worker.definition import WorkerDefinition, settings_or_exit

EXIT_REFUSED, EXIT_UNKNOWN, EXIT_ENDED, EXIT_UNAVAILABLE = 1, 3, 4, 5
"""Exit codes: refused or not confirmed, no such id, it has ended already, Redis or the broker does not answer."""
# These commands do not call the backend, but the settings require its address and key.
_UNUSED = {"INTERNAL_API_BASE_URL": "http://backend.invalid/internal", "INTERNAL_SERVICE_API_KEY": "not-used-here"}
# A shorter prefix of an id would match by chance.
_SHORTEST_ID = 4
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


T = TypeVar("T")


class _Ended(click.ClickException):
    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self._code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """What click exits with."""
        return self._code


@frozen
class Access:
    """What an operator's command works with: the ledger, a view of it, and a redactor of all known secrets."""

    settings: Settings
    ledger: Ledger
    operator: Operator
    fleet: Fleet
    redactor: Redactor


@contextmanager
def open_ledger(definition: WorkerDefinition, environ: Mapping[str, str] | None = None) -> Iterator[Access]:
    """Access by the environment of a worker, where only the broker's and the ledger's variables are needed.

    A ledger that does not answer ends the command with one line and the exit code EXIT_UNAVAILABLE.
    """
    settings = settings_or_exit(definition, _completed(os.environ if environ is None else environ))
    redis = connect(settings.ledger_redis, name="operator")
    redactor = Redactor(settings.secrets())
    access = Access(settings, Ledger(redis, settings.ledger), Operator(redis), Fleet(redis), redactor)
    retries = stamina.is_active()
    stamina.set_active(False)  # a person waits for the answer: a silent server is tried once, as in `check`
    try:
        yield access
    except LedgerError as error:
        where, cause = settings.ledger_redis.location, known_cause(error) or error
        fail(f"the ledger at {where}: {cause}; look at WORKER_LEDGER_REDIS_URL or REDIS_*", EXIT_UNAVAILABLE)
    finally:
        stamina.set_active(retries)
        redis.close()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is changed; without a terminal only `yes` (the option) is an answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"not confirmed: {question} There is no terminal to ask on: use --yes.", EXIT_REFUSED)
    if not click.confirm(question, err=True):
        fail("nothing was changed", EXIT_REFUSED)


def refuse_short(given: str, *, listed_by: str) -> None:
    """End the command if this is too short to be the beginning of an id; says which command lists the ids."""
    if len(given) < _SHORTEST_ID:
        program = click.get_current_context().find_root().info_name
        need = f"give at least {_SHORTEST_ID} characters of an id"
        fail(f"{given!r} is too short: {need}. The ids are listed by: {program} {listed_by}", EXIT_REFUSED)


def only_match(given: str, ids: Sequence[str], what: str) -> str | None:
    """The id that begins so; None where there is none. If there are several, the command ends with their names."""
    if len(ids) > 1:
        fail(
            f"{given} is the beginning of {len(ids)} {what}: {', '.join(ids)}. Give more characters of one.",
            EXIT_REFUSED,
        )
    return ids[0] if ids else None


def print_again(text: Callable[[], str], *, watch: bool, interval: float) -> None:
    """Print a text once or, to `watch`, again and again; on a terminal in place of what was there.

    A ledger that is away for a while does not end a watch that has shown something.
    """
    seen = False
    while True:
        try:
            shown = text()
        except LedgerError as error:
            if not seen:
                raise
            why = known_cause(error) or str(error)
            click.echo(printable_line(f"the ledger does not answer, looking again: {why}"), err=True)
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            click.echo(shown)
        if not watch:
            return
        seen = True
        time.sleep(interval)


def act_on_each(
    given: Sequence[str], find: Callable[[str], T], id_of: Callable[[T], str], act: Callable[[T], str]
) -> None:
    """Act once on each of the things that were named, and print what each action says.

    One that cannot be found ends the command before anything is done. One that cannot be acted on does not keep the
    others from it: the command ends with its exit code, or with EXIT_REFUSED where there are several codes.
    """
    found: dict[str, T] = {}
    for one in given:
        try:
            thing = find(one)
        except _Ended as error:
            if len(given) == 1:
                raise
            fail(f"{error.message.rstrip('.')}. The others were left unchanged too.", error.exit_code)
        found[id_of(thing)] = thing
    codes = []
    for thing in found.values():
        try:
            click.echo(act(thing))
        except _Ended as error:
            if len(found) == 1:
                raise
            error.show()
            codes.append(error.exit_code)
    if codes:
        fail(f"{len(found) - len(codes)} of {len(found)} done", codes[0] if len(set(codes)) == 1 else EXIT_REFUSED)


def note_action(action: str, **fields: str | float) -> None:
    """A line in the log (stderr and LOG_FILE): who did what."""
    get_logger(__name__).warning("operator's action", action=action, by=_user(), **fields)


def fail(reason: str, code: int) -> NoReturn:
    """End the command: the reason on stderr, and this exit code."""
    raise _Ended(printable_line(reason), code)


def _completed(environ: Mapping[str, str]) -> dict[str, str]:
    missing = {name: value for name, value in _UNUSED.items() if not (environ.get(name) or environ.get(f"{name}_FILE"))}
    return {**environ, **missing}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, terminal: bool) -> str:
    """Rows under their headings, without a trailing newline. `terminal`: whether a person's terminal shows it."""
    lines = [tuple(printable_line(cell) for cell in row) for row in rows]
    pretty = _by_rich(columns, lines) if terminal else None
    return _plain(columns, lines) if pretty is None else pretty


def duration(seconds: float | None) -> str:
    """Seconds for people, in the largest unit that fits: ``42 s``, ``3.5 min``; ``-`` for None."""
    if seconds is None:
        return "-"
    for size, unit in _UNITS:
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    )


def _by_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:  # the extra [cli] is not installed
        return None
    drawn = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(cell, overflow="fold") for cell in row))
    paper = StringIO()
    Console(file=paper, force_terminal=True, width=Console().width).print(drawn)
    return paper.getvalue().strip("\n")

"""What a demo run ends in, and what a person sees of it: steps and moving bars while it runs, tables at its end."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import define, field, frozen
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

TERMINAL = frozenset({"COMPLETED", "ERROR", "STOPPED"})
GOOD = frozenset({"Success", "COMPLETED"})
PLAIN_WIDTH = 150
MAX_CELL = 90
COUNTS = ("total", "successful", "failed", "callbacks")


@frozen
class FileOutcome:
    """One file of one execution: its name, "Success" or "Failed", the reason or the result.

    `seconds` is the time its processing took, where that is known.
    """

    name: str
    status: str
    error: str | None
    result: Any = field(repr=False)
    seconds: float | None = None


@frozen
class ExecutionOutcome:
    """One execution as the backend shows it at the end.

    `callbacks` counts how often its terminal status was written; `title` says in words what it was.
    """

    id: str
    title: str
    kind: str
    status: str
    total: int
    successful: int
    failed: int
    callbacks: int
    seconds: float
    files: tuple[FileOutcome, ...]


@define
class Report:
    """The whole run. `problems` says in words what is not as it should be; with none, `claim` holds.

    `extractions`: the files that an executor had, and how often it extracted one.
    """

    claim: str = "Every outcome is the expected one"
    executions: list[ExecutionOutcome] = field(factory=list)
    files: list[FileOutcome] = field(factory=list)
    webhooks: list[str] = field(factory=list)
    problems: list[str] = field(factory=list)
    seconds: float = 0.0
    extractions: dict[str, int] | None = None

    @property
    def ok(self) -> bool:
        return not self.problems

    def add(self, execution: ExecutionOutcome, problems: Sequence[str]) -> None:
        """Takes over one execution, its files, and what is wrong with it."""
        self.executions.append(execution)
        self.files.extend(execution.files)
        self.problems.extend(f"{execution.title}: {problem}" for problem in problems)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 2),
            "executions": _chosen(self.executions, ("id", "kind", "status", *COUNTS)),
            "webhooks_delivered": len(self.webhooks),
            "files": _chosen(self.files, ("name", "status", "error", "result")),
            **({"executor": self.extractions} if self.extractions is not None else {}),
        }


def _chosen(values: Iterable[object], names: Sequence[str]) -> list[dict[str, Any]]:
    return [{name: getattr(value, name) for name in names} for value in values]


@frozen
class Narrator:
    """Writes to one console: standard error where standard output belongs to the JSON report."""

    console: Console

    @classmethod
    def for_output(cls, *, json: bool) -> "Narrator":
        console = Console(stderr=json, highlight=False)
        # A file or a pipe has no width: wide enough for the tables' ids.
        return cls(console if console.is_terminal else Console(stderr=json, highlight=False, width=PLAIN_WIDTH))

    def step(self, text: str) -> None:
        """One line about what happens now. `text` is shown as it is, save for what no terminal can show."""
        shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
        self.console.print(shown, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar that moves while the block runs; what is yielded sets how many of `total` are done."""
        text = TextColumn("{task.description}", markup=False)
        columns = (SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        still = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=still) as progress:
            task = progress.add_task(title, total=total)
            yield lambda done: progress.update(task, completed=done)


def show(console: Console, report: Report) -> None:
    """The files with what was extracted, the executions, the webhooks, and the verdict."""
    console.print(_files(report))
    console.print(_executions(report))
    if report.webhooks:
        console.print(Text("Webhooks delivered", style="bold"))
        for webhook in report.webhooks:
            console.print(Text(f"  {webhook}"))
    for problem in report.problems:
        console.print(Text(f"Not as expected: {problem}", style="red"))
    verdict = report.claim if report.ok else f"{len(report.problems)} problem(s)"
    console.print(Text(f"{verdict}, {report.seconds:.1f} s.", style="green" if report.ok else "red"))


def _table(title: str, columns: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def _files(report: Report) -> Table:
    table = _table("Files", ("file", "status", "seconds", "extracted"), ("seconds",))
    known = {id(file) for execution in report.executions for file in execution.files}
    sections = [(each.title, each.files) for each in report.executions]
    for title, files in (*sections, ("", [file for file in report.files if id(file) not in known])):
        table.add_section()
        if title:
            table.add_row(Text(title, style="bold"))
        for file in files:
            seconds = "" if file.seconds is None else f"{file.seconds:.2f}"
            summary = " ".join((file.error or _summary(file.result)).split())
            cut = summary if len(summary) <= MAX_CELL else f"{summary[: MAX_CELL - 3]}..."
            table.add_row(Text(f"  {file.name}"), _status(file.status), seconds, Text(cut))
    return table


def _executions(report: Report) -> Table:
    table = _table("Executions", ("execution", "id", "status", *COUNTS, "seconds"), (*COUNTS, "seconds"))
    for each in report.executions:
        counts = (str(getattr(each, name)) for name in COUNTS)
        table.add_row(Text(each.title), each.id, _status(each.status), *counts, f"{each.seconds:.1f}")
    return table


def _status(status: str) -> Text:
    return Text(status, style="green" if status in GOOD else "yellow")


def _summary(result: Any) -> str:
    if not isinstance(result, dict):
        return str(result)
    parts = [f"{name}: {value}" for name, value in (result.get("fields") or {}).items()]
    if result.get("rows"):
        parts.append(f"{len(result['rows'])} rows")
    elif result.get("text"):
        parts.append(f"{len(result['text'])} characters of text")
    return ", ".join(parts)

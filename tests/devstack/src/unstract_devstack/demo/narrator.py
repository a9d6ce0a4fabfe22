"""What a person sees while the demo runs (steps, moving bars) and at its end (tables); on standard error in JSON mode."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from unstract_devstack.demo.outcomes import FileOutcome, Report

PLAIN_WIDTH = 150
MAX_CELL = 90
GOOD = frozenset({"Success", "COMPLETED"})


@define
class Narrator:
    """Writes to one console: standard error where standard output belongs to the JSON report."""

    console: Console

    @classmethod
    def for_output(cls, *, json: bool) -> "Narrator":
        """The narrator of a run."""
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
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        moving = self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=not moving) as progress:
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


def _files(report: Report) -> Table:
    table = Table(title="Files", title_justify="left")
    for column in ("file", "status", "seconds", "extracted"):
        table.add_column(column, justify="right" if column == "seconds" else "left", overflow="fold")
    shown = set()
    for execution in report.executions:
        table.add_section()
        table.add_row(Text(execution.title, style="bold"))
        for file in execution.files:
            shown.add(id(file))
            _add_file(table, file)
    table.add_section()
    for file in report.files:
        if id(file) not in shown:
            _add_file(table, file)
    return table


def _add_file(table: Table, file: FileOutcome) -> None:
    seconds = "" if file.seconds is None else f"{file.seconds:.2f}"
    summary = file.error or _summary(file.result)
    table.add_row(Text(f"  {file.name}"), _status(file.status), seconds, Text(_cut(summary)))


def _executions(report: Report) -> Table:
    table = Table(title="Executions", title_justify="left")
    columns = ("execution", "id", "status", "total", "successful", "failed", "callbacks", "seconds")
    for column in columns:
        table.add_column(column, justify="left" if column in columns[:3] else "right", overflow="fold")
    for execution in report.executions:
        counts = (execution.total, execution.successful, execution.failed, execution.callbacks)
        table.add_row(
            Text(execution.title),
            execution.id,
            _status(execution.status),
            *(str(count) for count in counts),
            f"{execution.seconds:.1f}",
        )
    return table


def _status(status: str) -> Text:
    return Text(status, style="green" if status in GOOD else "yellow")


def _summary(result: Any) -> str:
    """What was extracted, in a few words."""
    if not isinstance(result, dict):
        return str(result)
    parts = [f"{name}: {value}" for name, value in (result.get("fields") or {}).items()]
    if result.get("rows"):
        parts.append(f"{len(result['rows'])} rows")
    elif result.get("text"):
        parts.append(f"{len(result['text'])} characters of text")
    return ", ".join(parts)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_CELL else f"{line[: MAX_CELL - 3]}..."

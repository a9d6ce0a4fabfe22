"""What a person sees while the demo runs: steps, moving bars, and nothing on standard output in JSON mode."""

import contextlib
from collections.abc import Callable, Iterator

from attrs import define
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PLAIN_WIDTH = 150


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

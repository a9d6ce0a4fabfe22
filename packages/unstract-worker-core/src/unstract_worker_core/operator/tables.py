"""Tables for a terminal: by rich where the extra `[cli]` is installed, plain columns without and in pipes."""

from collections.abc import Iterable, Sequence
from io import StringIO

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, terminal: bool) -> str:
    """Rows under their headings, without a trailing newline. `terminal`: whether a person's terminal shows it."""
    lines = [tuple(_flat(cell) for cell in row) for row in rows]
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


def _flat(cell: str) -> str:
    """One line of printable characters: nothing that was stored may steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in cell)


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

"""CSV and its relatives: rows by column name."""

import csv
import io

from unstract_devstack.extraction.decoding import decode
from unstract_devstack.extraction.model import Content, ExtractionError

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_CHARACTERS = 64 * 1024
SAMPLE_ROWS = 50
MAX_ROWS = 200_000
# One very wide line would make every short one as wide.
MAX_CELLS = 5_000_000


def read_table(data: bytes) -> Content:
    """The rows of a delimited file whose first non-empty line names the columns.

    Raises:
        ExtractionError: no text, not a table, or more than `MAX_ROWS` rows or `MAX_CELLS` cells.
    """
    text = decode(data)
    records = _records(text, _delimiter(text))
    if not records:
        raise ExtractionError("the table has no rows")
    width = max(len(record) for record in records)
    if width * len(records) > MAX_CELLS:
        raise ExtractionError(f"the table has {len(records)} rows of up to {width} cells, more than {MAX_CELLS} in all")
    columns = _columns(records[0], width)
    rows = tuple(
        {column: record[index] if index < len(record) else "" for index, column in enumerate(columns)}
        for record in records[1:]
    )
    return Content(text=text, rows=rows)


def _records(text: str, delimiter: str) -> list[list[str]]:
    records: list[list[str]] = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cell.strip() for cell in record):
                records.append(record)
            if len(records) > MAX_ROWS:
                raise ExtractionError(f"the table has more than {MAX_ROWS} rows")
    except csv.Error as error:
        raise ExtractionError(f"the table cannot be read near row {len(records) + 1}: {error}") from error
    return records


def _delimiter(text: str) -> str:
    """The delimiter that splits the most first lines into the same number of cells; a comma if none does."""
    return max(DELIMITERS, key=lambda candidate: _agreement(text[:SAMPLE_CHARACTERS], candidate))


def _agreement(sample: str, delimiter: str) -> tuple[float, int]:
    widths: list[int] = []
    try:
        for record in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
            if record:
                widths.append(len(record))
            if len(widths) == SAMPLE_ROWS:
                break
    except csv.Error:
        return (0.0, 0)
    if not widths or widths[0] == 1:
        return (0.0, 0)
    return (sum(width == widths[0] for width in widths) / len(widths), widths[0])


def _columns(header: list[str], width: int) -> list[str]:
    columns: list[str] = []
    taken: set[str] = set()
    for index in range(width):
        wanted = (header[index].strip() if index < len(header) else "") or f"column_{index + 1}"
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        taken.add(name)
        columns.append(name)
    return columns

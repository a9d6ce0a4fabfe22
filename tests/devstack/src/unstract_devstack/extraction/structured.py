"""Tables, JSON and PDF: rows by column name, values, the text of every page."""

import csv
import io
import json
import math
from typing import Any, NoReturn

from pypdf import PdfReader
from pypdf.errors import DependencyError

from unstract_devstack.extraction.model import Content, ExtractionError
from unstract_devstack.extraction.text import clean, decode

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_CHARACTERS, SAMPLE_ROWS = 64 * 1024, 50
MAX_ROWS = 200_000
# One very wide line would make every short one as wide.
MAX_CELLS = 5_000_000
MAX_DEPTH = 100
MAX_PAGES = 2_000
LOCKED = "the PDF is encrypted: it needs a password"


def read_table(data: bytes) -> Content:
    """The rows of a delimited file whose first non-empty line names the columns.

    Raises:
        ExtractionError: no text, not a table, or more than `MAX_ROWS` rows or `MAX_CELLS` cells.
    """
    text = decode(data)
    records = _records(text, max(DELIMITERS, key=lambda each: _agreement(text[:SAMPLE_CHARACTERS], each)))
    if not records:
        raise ExtractionError("the table has no rows")
    width = max(len(record) for record in records)
    if width * len(records) > MAX_CELLS:
        raise ExtractionError(f"the table has {len(records)} rows of up to {width} cells, more than {MAX_CELLS} in all")
    columns = _columns(records[0], width)
    rows = (dict(zip(columns, [*record, *[""] * (width - len(record))], strict=True)) for record in records[1:])
    return Content(text=text, rows=tuple(rows))


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


def _agreement(sample: str, delimiter: str) -> tuple[float, int]:
    """The share of the first lines that it splits into as many cells as the first one, and how many these are."""
    widths: list[int] = []
    try:
        for record in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
            widths += [len(record)] if record else []
            if len(widths) == SAMPLE_ROWS:
                break
    except csv.Error:
        return (0.0, 0)
    if not widths or widths[0] == 1:
        return (0.0, 0)
    return (widths.count(widths[0]) / len(widths), widths[0])


def _columns(header: list[str], width: int) -> list[str]:
    columns: dict[str, None] = {}
    for index in range(width):
        wanted = (header[index].strip() if index < len(header) else "") or f"column_{index + 1}"
        name, number = wanted, 2
        while name in columns:
            name, number = f"{wanted}_{number}", number + 1
        columns[name] = None
    return list(columns)


def read_json(data: bytes) -> Content:
    """The value of a JSON document, and its rows where it is a list.

    Raises:
        ExtractionError: not JSON (NaN and Infinity are not), or nested deeper than `MAX_DEPTH`.
    """
    text = decode(data)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ExtractionError(f"the JSON is nested deeper than {MAX_DEPTH} levels") from error
    except json.JSONDecodeError as error:
        raise ExtractionError(f"not valid JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    except ValueError as error:
        raise ExtractionError("not valid JSON: a number has too many digits") from error
    value, rows = _cleaned(value, MAX_DEPTH), None
    if isinstance(value, list):
        rows = tuple(item if isinstance(item, dict) else {"value": item} for item in value)
    return Content(text=text, rows=rows, value=value)


def _refuse_constant(name: str) -> NoReturn:
    raise ExtractionError(f"not valid JSON: {name} is not a JSON value")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ExtractionError("not valid JSON: a number is out of range")
    return number


def _cleaned(value: Any, depth: int) -> Any:
    if depth == 0:
        raise ExtractionError(f"the JSON is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        return [_cleaned(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(item, depth - 1) for key, item in value.items()}
    return clean(value) if isinstance(value, str) else value


def read_pdf(data: bytes) -> Content:
    """The text of a PDF, pages apart by an empty line.

    Raises:
        ExtractionError: corrupt, locked by a password, too long, or pictures only.
    """
    if b"%PDF-" not in data[:1024]:
        raise ExtractionError("not a PDF: the file does not start as one")
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ExtractionError(LOCKED)
        count = len(reader.pages)
        if count > MAX_PAGES:
            raise ExtractionError(f"the PDF has {count} pages, more than the limit of {MAX_PAGES}")
        pages = [clean(page.extract_text()).strip() for page in reader.pages]
    except ExtractionError:
        raise
    except DependencyError as error:
        raise ExtractionError(LOCKED) from error
    except Exception as error:  # a parser over hostile bytes: whatever it raises means "cannot be read"
        line = clean(" ".join(str(error).split())) or type(error).__name__
        raise ExtractionError(f"the PDF is corrupt and cannot be read ({line[:120]})") from error
    if count == 0:
        raise ExtractionError("the PDF is corrupt: it has no pages")
    text = "\n\n".join(filter(None, pages))
    if not text:
        raise ExtractionError(f"the PDF has no text on its {count} page(s); it may be a scan")
    return Content(text=text, pages=count)

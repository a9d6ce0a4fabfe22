"""What a document holds: its text by the encodings that documents come in, rows by column name, values, pages."""

import csv
import io
import json
import math
import re
from typing import Any, NoReturn

from attrs import frozen
from bs4 import BeautifulSoup
from bs4.builder import HTMLTreeBuilder
from bs4.dammit import EncodingDetector
from bs4.element import PreformattedString
from bs4.exceptions import ParserRejectedMarkup
from pypdf import PdfReader
from pypdf.errors import DependencyError

from unstract_devstack.extraction.model import ExtractionError

CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
UNSAFE_CHARACTERS = re.compile("[\x00\ud800-\udfff]")
DELIMITERS = (",", ";", "\t", "|")
MAX_DEPTH = 100
LOCKED = "the PDF is encrypted: it needs a password"
INVISIBLE = ("script", "style", "template")
# Elements on lines of their own: those that HTML calls blocks, and parts of tables and documents.
PARTS = ("body", "br", "caption", "head", "html", "option", "tbody", "thead", "title", "tr")
BLOCKS = [*HTMLTreeBuilder.DEFAULT_BLOCK_ELEMENTS, *PARTS]


@frozen
class Content:
    """A document as read: its text, its rows where it is a table, its value where it is JSON."""

    text: str
    rows: tuple[dict[str, Any], ...] | None = None
    value: Any = None
    pages: int | None = None


def clean(text: str) -> str:
    """`text` without what cannot be written as UTF-8 or stored: NUL and lone surrogates become U+FFFD."""
    return UNSAFE_CHARACTERS.sub("\ufffd", text)


def decode(data: bytes) -> str:
    """The text of `data`: by its byte order mark, else UTF-8, else Western single-byte.

    Raises:
        ExtractionError: the bytes are no text.
    """
    data, marked = EncodingDetector.strip_byte_order_mark(data)
    try:
        if marked or b"\x00" not in data:
            return clean(data.decode(marked or "utf-8"))
    except UnicodeDecodeError as error:
        if marked:
            raise ExtractionError(f"the text is not valid {marked.upper()}") from error
    # Every byte is a Latin-1 character, so control characters are the only sign of a binary file.
    if CONTROL_BYTES.search(data):
        raise ExtractionError("the file holds binary data, not text")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_text(data: bytes) -> Content:
    """The text of a plain file. Raises ExtractionError where there is none."""
    text = decode(data)
    if not text.strip():
        raise ExtractionError("the file holds no text")
    return Content(text=text)


def read_html(data: bytes) -> Content:
    """The visible text of an HTML page: cells apart, rows and paragraphs on lines of their own.

    Raises:
        ExtractionError: no text, or the page shows nothing.
    """
    source = _declared(data) or decode(data)
    try:
        text = _visible(source)
    except ParserRejectedMarkup:
        # The parser gives up on unknown `<![...` sections, which old word processors write.
        text = _visible(source.replace("<![", "&lt;!["))
    if not text:
        raise ExtractionError("the page holds no text")
    return Content(text=text)


def _declared(data: bytes) -> str | None:
    """The page in the encoding that it declares; None for a wrong declaration: the bytes themselves decide."""
    declared = EncodingDetector.find_declared_encoding(data, is_html=True)
    try:
        return clean(data.decode(declared)) if declared and b"\x00" not in data else None
    except (LookupError, UnicodeError):
        return None


def _visible(source: str) -> str:
    page = BeautifulSoup(source, "html.parser")
    for tag in page(INVISIBLE):
        tag.decompose()
    for string in page.find_all(string=lambda text: not isinstance(text, PreformattedString)):
        string.replace_with(re.sub(r"\s+", " ", string))  # the source's own line breaks are only spaces
    for tag in page(BLOCKS):
        tag.insert(0, "\n")
        tag.append("\n")
    for tag in page(("td", "th")):
        tag.append("\t")
    lines = (re.sub(r" *\t[ \t]*", "\t", line).strip() for line in clean(page.get_text()).split("\n"))
    return "\n".join(line for line in lines if line)


def read_table(data: bytes) -> Content:
    """The rows of a delimited file whose first non-empty line names the columns.

    Raises:
        ExtractionError: no text, or not a table.
    """
    text = decode(data)
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count))
    try:
        records = [record for record in reader if any(cell.strip() for cell in record)]
    except csv.Error as error:
        raise ExtractionError(f"the table cannot be read near line {reader.line_num}: {error}") from error
    if not records:
        raise ExtractionError("the table has no rows")
    columns = _columns(records[0], max(map(len, records)))
    rows = (dict.fromkeys(columns, "") | dict(zip(columns, record, strict=False)) for record in records[1:])
    return Content(text=text, rows=tuple(rows))


def _columns(header: list[str], width: int) -> list[str]:
    columns: list[str] = []
    for index in range(width):
        wanted = (header[index].strip() if index < len(header) else "") or f"column_{index + 1}"
        name, number = wanted, 2
        while name in columns:
            name, number = f"{wanted}_{number}", number + 1
        columns.append(name)
    return columns


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
        ExtractionError: corrupt, locked by a password, or pictures only.
    """
    if b"%PDF-" not in data[:1024]:
        raise ExtractionError("not a PDF: the file does not start as one")
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        locked = reader.is_encrypted and not reader.decrypt("")
        pages = [] if locked else [clean(page.extract_text()).strip() for page in reader.pages]
    except DependencyError as error:
        raise ExtractionError(LOCKED) from error
    except Exception as error:  # a parser over hostile bytes: whatever it raises means "cannot be read"
        line = clean(" ".join(str(error).split())) or type(error).__name__
        raise ExtractionError(f"the PDF is corrupt and cannot be read ({line[:120]})") from error
    if locked:
        raise ExtractionError(LOCKED)
    if not pages:
        raise ExtractionError("the PDF is corrupt: it has no pages")
    text = "\n\n".join(filter(None, pages))
    if not text:
        raise ExtractionError(f"the PDF has no text on its {len(pages)} page(s); it may be a scan")
    return Content(text=text, pages=len(pages))

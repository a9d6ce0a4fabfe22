"""Text and HTML: the encodings that documents come in, and what a reader sees of a page."""

import codecs
import re

from bs4 import BeautifulSoup
from bs4.builder import HTMLTreeBuilder
from bs4.dammit import EncodingDetector
from bs4.element import PreformattedString
from bs4.exceptions import ParserRejectedMarkup

from unstract_devstack.extraction.model import Content, ExtractionError

CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
UNSAFE_CHARACTERS = re.compile("[\x00\ud800-\udfff]")
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
INVISIBLE = ("script", "style", "template")
# Elements on lines of their own: those that HTML calls blocks, and parts of tables and documents.
PARTS = ("body", "br", "caption", "head", "html", "option", "tbody", "thead", "title", "tr")
BLOCKS = [*HTMLTreeBuilder.DEFAULT_BLOCK_ELEMENTS, *PARTS]
HEAD_BYTES = 4096
# The parser's time grows faster than the page where tags are malformed.
MAX_PAGE_BYTES = 16 * 1024 * 1024


def decode(data: bytes) -> str:
    """The text of `data`: by its byte order mark, else UTF-8, else Western single-byte.

    Raises:
        ExtractionError: the bytes are no text.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            try:
                return clean(data.decode(encoding))
            except UnicodeDecodeError as error:
                raise ExtractionError(f"the text is not valid {encoding.removesuffix('-sig').upper()}") from error
    if b"\x00" not in data:
        try:
            return clean(data.decode("utf-8"))
        except UnicodeDecodeError:
            # Every byte is a Latin-1 character, so control characters are the only sign of a binary file.
            if not CONTROL_BYTES.search(data):
                return (
                    data.decode("cp1252") if not re.search(rb"[\x81\x8d\x8f\x90\x9d]", data) else data.decode("latin-1")
                )
    raise ExtractionError("the file holds binary data, not text")


def clean(text: str) -> str:
    """`text` without what cannot be written as UTF-8 or stored: NUL and lone surrogates become U+FFFD."""
    return UNSAFE_CHARACTERS.sub("\ufffd", text)


def read_text(data: bytes) -> Content:
    """The text of a plain file. Raises ExtractionError where there is none."""
    text = decode(data)
    if not text.strip():
        raise ExtractionError("the file holds no text")
    return Content(text=text)


def read_html(data: bytes) -> Content:
    """The visible text of an HTML page: cells apart, rows and paragraphs on lines of their own.

    Raises:
        ExtractionError: no text, larger than `MAX_PAGE_BYTES`, or the page shows nothing.
    """
    if len(data) > MAX_PAGE_BYTES:
        raise ExtractionError(f"the page is larger than the limit of {MAX_PAGE_BYTES // (1024 * 1024)} MiB")
    source = _decoded(data)
    try:
        text = _visible(source)
    except ParserRejectedMarkup:
        # The parser gives up on unknown `<![...` sections, which old word processors write.
        text = _visible(source.replace("<![", "&lt;!["))
    if not text:
        raise ExtractionError("the page holds no text")
    return Content(text=text)


def _decoded(data: bytes) -> str:
    declared = EncodingDetector.find_declared_encoding(data[:HEAD_BYTES], is_html=True)
    if declared and b"\x00" not in data:
        try:
            return clean(data.decode(declared))
        except (LookupError, UnicodeError):
            pass  # a wrong declaration: the bytes themselves decide
    return decode(data)


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

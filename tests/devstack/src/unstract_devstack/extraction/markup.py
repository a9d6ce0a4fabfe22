"""HTML to text: what a reader would see, cells apart, rows and paragraphs on lines of their own."""

import codecs
import re
from html.parser import HTMLParser

from unstract_devstack.extraction.decoding import clean, decode
from unstract_devstack.extraction.model import Content, ExtractionError

INVISIBLE = frozenset({"script", "style", "template"})
CELLS = frozenset({"td", "th"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
BLOCKS = HEADINGS | {
    *("address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "div", "dl", "dt", "fieldset"),
    *("figcaption", "figure", "footer", "form", "head", "header", "hr", "html", "li", "main", "nav", "ol"),
    *("option", "p", "pre", "section", "table", "tbody", "tfoot", "thead", "title", "tr", "ul"),
}
DECLARED_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
HEAD_BYTES = 4096
# The parser's time grows faster than the page where tags are malformed.
MAX_BYTES = 16 * 1024 * 1024
# Only what pages are really written in: Python knows codecs that are no character sets.
CHARSET_FAMILIES = ("ascii", "big5", "cp125", "euc", "gb", "iso8859", "koi8", "shift_jis", "utf-8")


def read_html(data: bytes) -> Content:
    """The visible text of an HTML page.

    Raises:
        ExtractionError: no text, larger than `MAX_BYTES`, or the page shows nothing.
    """
    if len(data) > MAX_BYTES:
        raise ExtractionError(f"the page is larger than the limit of {MAX_BYTES // (1024 * 1024)} MiB")
    source = _decode(data)
    try:
        text = _visible(source)
    except AssertionError:
        # The parser gives up on unknown `<![...` sections, which old word processors write.
        text = _visible(source.replace("<![", "&lt;!["))
    if not text:
        raise ExtractionError("the page holds no text")
    return Content(text=text)


def _decode(data: bytes) -> str:
    declared = DECLARED_CHARSET.search(data[:HEAD_BYTES])
    if declared is not None and b"\x00" not in data:
        try:
            codec = codecs.lookup(declared.group(1).decode("ascii"))
            if codec.name.startswith(CHARSET_FAMILIES):
                return clean(data.decode(codec.name))
        except (LookupError, UnicodeError):
            pass  # a wrong declaration: the bytes themselves decide
    return decode(data)


def _visible(source: str) -> str:
    parser = VisibleText()
    parser.feed(source)
    parser.close()
    return parser.text()


class VisibleText(HTMLParser):
    """Collects the visible text of one page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._hidden: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Starts a line at a block, and hides what is never shown."""
        if self._hidden is None and tag in INVISIBLE:
            self._hidden = tag
        if tag in BLOCKS:
            self._pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Ends what `handle_starttag` started."""
        if tag == self._hidden:
            self._hidden = None
        if tag in CELLS:
            self._pieces.append("\t")
        elif tag in BLOCKS:
            self._pieces.append("\n")

    def handle_data(self, data: str) -> None:
        """Keeps text that is shown; the source's own line breaks are only spaces."""
        if self._hidden is None:
            self._pieces.append(re.sub(r"\s+", " ", data))

    def text(self) -> str:
        """The text so far, without empty lines."""
        lines = (re.sub(r" *\t[ \t]*", "\t", line).strip() for line in clean("".join(self._pieces)).split("\n"))
        return "\n".join(line for line in lines if line)

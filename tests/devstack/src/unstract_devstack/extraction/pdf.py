"""PDF documents: the text of every page."""

import io

from pypdf import PdfReader
from pypdf.errors import DependencyError

from unstract_devstack.extraction.decoding import clean
from unstract_devstack.extraction.model import Content, ExtractionError

MAX_PAGES = 2_000


def read_pdf(data: bytes) -> Content:
    """The text of a PDF, pages apart by an empty line.

    Raises:
        ExtractionError: corrupt, locked by a password, too long, or pictures only.
    """
    if b"%PDF-" not in data[:1024]:
        raise ExtractionError("not a PDF: the file does not start as one")
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        _unlock(reader)
        count = len(reader.pages)
        if count > MAX_PAGES:
            raise ExtractionError(f"the PDF has {count} pages, more than the limit of {MAX_PAGES}")
        pages = [clean(page.extract_text()).strip() for page in reader.pages]
    except ExtractionError:
        raise
    except DependencyError as error:
        raise ExtractionError("the PDF is encrypted: it needs a password") from error
    except Exception as error:  # a parser over hostile bytes: whatever it raises means "cannot be read"
        raise ExtractionError(f"the PDF is corrupt and cannot be read ({_brief(error)})") from error
    if count == 0:
        raise ExtractionError("the PDF is corrupt: it has no pages")
    text = "\n\n".join(page for page in pages if page)
    if not text:
        raise ExtractionError(f"the PDF has no text on its {count} page(s); it may be a scan")
    return Content(text=text, pages=count)


def _unlock(reader: PdfReader) -> None:
    """Opens a PDF whose user password is empty; others stay closed."""
    if reader.is_encrypted and not reader.decrypt(""):
        raise ExtractionError("the PDF is encrypted: it needs a password")


def _brief(error: Exception) -> str:
    """One short line about the parser's complaint."""
    line = clean(" ".join(str(error).split())) or type(error).__name__
    return line if len(line) <= 120 else line[:117] + "..."

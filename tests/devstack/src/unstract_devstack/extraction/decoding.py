"""Bytes to text: the encodings that documents come in, and the refusal of what is no text at all."""

import codecs
import re

from unstract_devstack.extraction.model import ExtractionError

CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
UNSAFE_CHARACTERS = re.compile("[\x00\ud800-\udfff]")
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes) -> str:
    """The text of `data`: by its byte order mark, else UTF-8, else Western single-byte.

    Raises:
        ExtractionError: the bytes are no text.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _strictly(data, encoding)
    if b"\x00" in data:
        raise ExtractionError("the file holds binary data, not text")
    try:
        return clean(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _single_byte(data)


def clean(text: str) -> str:
    """`text` without what cannot be written as UTF-8 or stored: NUL and lone surrogates become U+FFFD."""
    return UNSAFE_CHARACTERS.sub("\ufffd", text)


def _strictly(data: bytes, encoding: str) -> str:
    try:
        return clean(data.decode(encoding))
    except UnicodeDecodeError as error:
        raise ExtractionError(f"the text is not valid {encoding.removesuffix('-sig').upper()}") from error


def _single_byte(data: bytes) -> str:
    # Every byte is a Latin-1 character, so control characters are the only sign of a binary file.
    if CONTROL_BYTES.search(data):
        raise ExtractionError("the file holds binary data, not text")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")

"""An HTTP/1.1 answer as it comes in: status, headers, body by its framing. Strict: what is odd is no answer.

The standard library's reader parses headers as those of a mail, which costs more than the rest of a call.
"""

import re
from http.client import HTTPException
from io import BufferedReader

__all__ = ["Incoming"]

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\x00]*?)[ \t]*\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_DIGITS = re.compile(r"[0-9]{1,18}")
_LONGEST_LINE = 64 * 1024
_MOST_HEADERS = 100
_SWITCHING = 101


class Incoming:
    """One answer. Making it reads the head. Raises HTTPException for what is no final, well-formed answer."""

    def __init__(self, reader: BufferedReader) -> None:
        self._reader = reader
        version, self.status, self._headers = self._head()
        while 100 <= self.status < 200 and self.status != _SWITCHING:  # interim: the answer is still to come
            version, self.status, self._headers = self._head()
        if self.status == _SWITCHING:
            raise HTTPException("another protocol, which nobody asked for")
        self._chunked = self._framed_in_chunks()
        self._left = 0 if self._chunked else self._length()
        self._ended = self._left == 0 and not self._chunked
        wish = self.header("connection").lower()
        self._keeps = "keep-alive" in wish if version == b"0" else "close" not in wish

    def header(self, name: str) -> str:
        """A header by its lower-case name; the first where there are several, empty where there is none."""
        return self._headers.get(name, "")

    @property
    def length(self) -> int | None:
        """Bytes of the body still to come; None where its end shows when it is there."""
        return None if self._chunked or self._left < 0 else self._left

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request: the body is read whole and nobody wants to close it."""
        return self._ended and self._keeps

    def read(self, most: int) -> bytes:
        """Up to so many bytes, some unless the body is over. Raises HTTPException for one that is cut short."""
        if self._ended:
            return b""
        if self._chunked and not self._left and not self._next_chunk():
            return b""
        chunk = self._reader.read(most if self._left < 0 else min(most, self._left))
        if self._left < 0:
            self._ended, self._keeps = not chunk, False
        elif not chunk:
            raise HTTPException(f"the body ended {self._left} bytes early")
        else:
            self._left -= len(chunk)
            if self._chunked and not self._left and self._line().strip():
                raise HTTPException("a chunk that does not end where it should")
            self._ended = not self._left and not self._chunked
        return chunk

    def _head(self) -> tuple[bytes, int, dict[str, str]]:
        """Minor version, status and headers."""
        found = _STATUS.fullmatch(self._line())
        if found is None:
            raise HTTPException("not the status line of an answer")
        return found[1], int(found[2]), self._read_headers()

    def _line(self) -> bytes:
        line = self._reader.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise HTTPException("a line of the head is too long")
        return line

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(_MOST_HEADERS + 1):
            line = self._line()
            if line in (b"\r\n", b"\n"):
                return headers
            found = _HEADER.fullmatch(line)
            if found is None:
                raise HTTPException("a header that is not one")
            name, value = found[1].decode("ascii").lower(), found[2].decode("latin-1")
            if headers.setdefault(name, value) != value and name in ("content-length", "transfer-encoding"):
                raise HTTPException(f"two different headers {name}")
        raise HTTPException("too many headers")

    def _framed_in_chunks(self) -> bool:
        coding = self.header("transfer-encoding").lower()
        if coding not in ("", "chunked"):
            raise HTTPException("a transfer coding that nobody asked for")
        return coding == "chunked" and self.status not in (204, 304)

    def _length(self) -> int:
        """-1: until the connection ends."""
        if self.status in (204, 304):
            return 0
        told = self._headers.get("content-length")
        if told is None:
            return -1
        if not _DIGITS.fullmatch(told):
            raise HTTPException("a content length that is none")
        return int(told)

    def _next_chunk(self) -> bool:
        found = _CHUNK.fullmatch(self._line())
        if found is None:
            raise HTTPException("a chunk without a size")
        self._left = int(found[1], 16)
        if not self._left:
            self._read_headers()  # trailers: read and dropped
            self._ended = True
        return not self._ended

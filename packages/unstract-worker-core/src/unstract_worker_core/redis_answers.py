"""Redis' answers on kept connections, as they come off the socket (RESP 2, and 3 as far as scripts answer in it).

redis-py's reader takes several times as long for one: a file has two or three, each read by another thread than the
one before.
"""

import socket
from typing import Any

from attrs import define
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse

__all__ = ["AnswerReader"]

_READ = 64 * 1024


@define(eq=False)
class AnswerReader:
    """Reads what the server sends to one connection. `errors` makes an exception of an error's text."""

    _socket: socket.socket
    _encoding: str | None
    _errors: Any
    _content: bytes = b""
    _at: int = 0

    def read(self) -> Any:
        """One answer: int, text (bytes without an encoding), None, a list of such, or the server's error as a value.

        Raises OSError and RedisConnectionError when there is no whole answer.
        """
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._text(self._exactly(int(rest))) if rest != b"-1" else None
        if kind == b"*":
            return [self.read() for _ in range(int(rest))] if rest != b"-1" else None
        if kind == b"+":
            return self._text(rest)
        if kind == b"-":
            return self._errors(rest.decode("utf-8", errors="replace"))
        if kind == b"_":
            return None
        raise InvalidResponse(f"a script does not answer with {kind!r}")

    def let_go(self) -> None:
        """Forget what was read. Raises RedisConnectionError if more came than was asked for."""
        if self._at != len(self._content):
            raise RedisConnectionError("an answer that nobody asked for")
        self._content, self._at = b"", 0

    def _text(self, raw: bytes) -> str | bytes:
        return raw if self._encoding is None else raw.decode(self._encoding)

    def _line(self) -> bytes:
        while (end := self._content.find(b"\r\n", self._at)) < 0:
            self._content = self._content[self._at :] + self._received(_READ)
            self._at = 0
        line = self._content[self._at : end]
        self._at = end + 2
        return line

    def _exactly(self, size: int) -> bytes:
        missing = self._at + size + 2 - len(self._content)
        if missing > 0:
            parts = [self._content[self._at :]]
            while missing > 0:
                parts.append(self._received(max(missing, _READ)))
                missing -= len(parts[-1])
            self._content, self._at = b"".join(parts), 0
        start, self._at = self._at, self._at + size + 2
        return self._content[start : start + size]

    def _received(self, size: int) -> bytes:
        content = self._socket.recv(size)
        if not content:
            raise RedisConnectionError("the server closed the connection")
        return content

"""An answer as it comes off the wire. llhttp, Node's parser (by way of httptools), tells what its bytes mean.

It costs a twentieth of what the standard library's http.client does, and takes nothing that HTTP does not allow.
"""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

__all__ = ["Incoming", "MalformedAnswer"]

_HEAD_LIMIT = 64 * 1024


class MalformedAnswer(Exception):
    """What came is no whole answer."""


class Incoming:
    """One answer as far as it has come: fed until it has `ended`, by its own end or beyond the body's limit.

    `headers`: their names in lower case. `reusable`: whether the connection may carry another request. `over`: the body
    is larger than the limit.
    """

    def __init__(self, body_limit: int) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.ended = self.over = self.reusable = False
        self._parser = HttpResponseParser(self)
        self._limit = body_limit
        self._body: list[bytes] = []
        self._size = self._head_size = 0
        self._in_head, self._whole = True, False

    @property
    def body(self) -> bytes:
        """What came of the body."""
        return b"".join(self._body)

    def feed(self, content: bytes) -> None:
        """Take what was received; nothing is the end of the stream. Raises MalformedAnswer."""
        if not content:
            self._cut()
            return
        try:
            self._parser.feed_data(content)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise MalformedAnswer(f"not HTTP: {error}") from None
        if self._in_head:
            self._head_size += len(content)
            if self._head_size > _HEAD_LIMIT:
                raise MalformedAnswer(f"headers of more than {_HEAD_LIMIT} bytes")
        self.over = not self._in_head and self._size > self._limit
        self.ended = self._whole or self.over

    def _cut(self) -> None:
        if self.status == 0:
            raise MalformedAnswer("the connection was closed without an answer")
        # Without a length the end of the stream is the body's.
        if self._in_head or not self.headers.keys().isdisjoint((b"content-length", b"transfer-encoding")):
            raise MalformedAnswer("the answer ended early")
        self.ended = True

    # --- what the parser calls

    def on_message_begin(self) -> None:
        """Another answer behind this one, which nobody asked for: the connection is not used again."""
        if self._whole:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers, and those of another answer, do not count."""
        if self._in_head:
            key = name.lower()
            self.headers[key] = b"%b, %b" % (self.headers[key], value) if key in self.headers else value

    def on_headers_complete(self) -> None:
        """The head is there."""
        if self._in_head:
            self._in_head, self.status = False, self._parser.get_status_code()

    def on_body(self, content: bytes) -> None:
        """Some of the body."""
        if not self._whole:
            self._body.append(content)
            self._size += len(content)

    def on_message_complete(self) -> None:
        """All is there; an interim answer (100 to 199) is dropped, the next one may be final."""
        if self.status < 200:
            self._in_head, self.status, self.headers = True, 0, {}
        elif not self._whole:
            self._whole, self.reusable = True, self._parser.should_keep_alive()

"""A multipart/form-data body that is read from disk while it is sent."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

CHUNK_BYTES = 256 * 1024


@frozen
class Upload:
    """One file to send: under which name, and how many of its first bytes."""

    path: Path
    name: str
    size: int


class FileChanged(Exception):
    """A file became shorter, or unreadable, while it was sent."""

    def __init__(self, upload: Upload, problem: str) -> None:
        self.upload = upload
        super().__init__(f"not sent: {problem}")


@frozen
class MultipartBody:
    """The form `fields` and the `files`, these all under the name `files`."""

    fields: Mapping[str, str]
    files: Sequence[Upload]
    boundary: str = field(factory=lambda: f"stack-{secrets.token_hex(16)}")

    @property
    def headers(self) -> dict[str, str]:
        """The request headers that go with this body."""
        return {"Content-Type": f"multipart/form-data; boundary={self.boundary}", "Content-Length": str(self._length())}

    def __iter__(self) -> Iterator[bytes]:
        """The body, piece by piece.

        Raises:
            FileChanged: a file cannot be read as it was announced.
        """
        yield self._fields_part()
        for upload in self.files:
            yield self._head(upload)
            yield from _content(upload)
            yield b"\r\n"
        yield self._end()

    def _length(self) -> int:
        files = sum(len(self._head(upload)) + upload.size + 2 for upload in self.files)
        return len(self._fields_part()) + files + len(self._end())

    def _fields_part(self) -> bytes:
        return "".join(
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in self.fields.items()
        ).encode()

    def _head(self, upload: Upload) -> bytes:
        return (
            f"--{self.boundary}\r\n"
            f'Content-Disposition: form-data; name="files"; filename="{_quoted(upload.name)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()

    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode()


def _quoted(name: str) -> str:
    """The name as browsers send it."""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _content(upload: Upload) -> Iterator[bytes]:
    left = upload.size
    try:
        with upload.path.open("rb") as file:
            while left and (chunk := file.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise FileChanged(upload, (error.strerror or type(error).__name__).lower()) from error
    if left:
        raise FileChanged(upload, "it became shorter meanwhile")

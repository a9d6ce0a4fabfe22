"""Files on their way to the platform: a multipart/form-data body is made of them."""

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen


@frozen
class Upload:
    """One file to send: under which name, and how many of its first bytes."""

    path: Path
    name: str
    size: int

    @classmethod
    def of(cls, path: Path) -> "Upload":
        """A whole file under its own name."""
        return cls(path, path.name, path.stat().st_size)


class FileChanged(Exception):
    """A file became shorter, or unreadable, before it was sent."""

    def __init__(self, upload: Upload, problem: str) -> None:
        self.upload = upload
        super().__init__(f"not sent: {problem}")


def form_files(uploads: Sequence[Upload]) -> list[tuple[str, tuple[str, bytes]]]:
    """The files of a form, all in fields called `files`, as httpx takes them. Raises FileChanged."""
    return [("files", (upload.name, _content(upload))) for upload in uploads]


def _content(upload: Upload) -> bytes:
    try:
        with upload.path.open("rb") as file:
            content = file.read(upload.size)
    except OSError as error:
        raise FileChanged(upload, (error.strerror or type(error).__name__).lower()) from error
    if len(content) < upload.size:
        raise FileChanged(upload, "it became shorter meanwhile")
    return content

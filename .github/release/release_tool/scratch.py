"""A folder for what is built and tried, gone afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["scratch_folder"]


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """The folder, by its real path."""
    with tempfile.TemporaryDirectory(prefix="release-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()

"""Where a run leaves its logs and data: a named folder, or one that goes with the run."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def kept_folder(kept: Path | None, *, prefix: str) -> Iterator[Path]:
    """`kept`, newly made and left behind, or a temporary folder. Raises FileExistsError if `kept` is there already."""
    if kept is not None:
        kept.mkdir(parents=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        yield Path(name)

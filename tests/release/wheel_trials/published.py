"""Whether a package index serves what was built."""

import hashlib
import tempfile
import time
from pathlib import Path

from packaging.version import Version
from release_tool.packages import Package
from release_tool.repository import ReleaseError, run

from wheel_trials.installing import empty_environment

__all__ = ["check_published", "download"]

# An upload is not seen everywhere at once.
PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 15.0


def check_published(package: Package, version: Version, built: Path, folder: Path, index: str | None) -> str:
    """Downloads the published wheel and compares it with the one that was built; returns its SHA-256.

    Args:
        package: which package.
        version: the version that was published.
        built: the folder that holds the wheel that was built.
        folder: where the wheel is downloaded to.
        index: URL of the package index; None takes pip's.

    Raises:
        ReleaseError: the index does not offer that version within some minutes, or other bytes.
    """
    ours = list(built.glob(f"{package.module}-{version}-*.whl"))
    if len(ours) != 1:
        raise ReleaseError(f"{built} holds {len(ours)} wheels of {package.distribution} {version}, not one")
    download(f"{package.distribution}=={version}", folder, index)
    theirs = hashlib.sha256((folder / ours[0].name).read_bytes()).hexdigest()
    if theirs != hashlib.sha256(ours[0].read_bytes()).hexdigest():
        raise ReleaseError(f"the published {ours[0].name} ({theirs}) is not the one that was built")
    return theirs


def download(wanted: str, folder: Path, index: str | None) -> None:
    """Downloads one wheel into a folder, without what it depends on, and waits until the index offers it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        pip = [str(empty_environment(Path(scratch))), "-m", "pip", "download", "--quiet", "--no-cache-dir"]
        where = ["--index-url", index] if index is not None else []
        command = [*pip, "--no-deps", "--only-binary=:all:", *where, "--dest", str(folder), wanted]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                run(command, cwd=folder)
            except ReleaseError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

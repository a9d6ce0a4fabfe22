"""The user's own files: found, checked, and named, before anything starts."""

import contextlib
import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

SEPARATOR = "__"
# Names that the backend stores as they are, also with a number added.
MAX_NAME_BYTES = 180
UNSAFE = re.compile(r'["\\/:]')


class InputFault(Exception):
    """A path that cannot be used; the message names it and says why."""


@frozen
class InputFile:
    """One file: where it is, and the name it is sent under, which no other file of the run has."""

    path: Path
    name: str
    size: int


@frozen
class Inputs:
    """The files to send, and how many links and special files were left out on the way."""

    files: tuple[InputFile, ...]
    left_out: tuple[Path, ...]


def collect(paths: Sequence[Path]) -> Inputs:
    """All files that `paths` name or hold, in a stable order. Folders are walked, links in them not followed.

    A file in a folder is named by its path relative to that folder, with the separator made safe, so that
    equal names in different folders stay apart.

    Raises:
        InputFault: a path is missing or unreadable, or there is no file at all.
    """
    found: dict[Path, str] = {}
    left_out: list[Path] = []
    for path in paths:
        for file, relative in _files(path, left_out):
            found.setdefault(Path(os.path.realpath(file)), _wanted_name(path, relative))
    if not found:
        raise InputFault(f"no file in {', '.join(str(path) for path in paths)}")
    names = _distinct(found)
    return Inputs(tuple(InputFile(path, names[path], _checked_size(path)) for path in found), tuple(left_out))


def in_batches(files: Sequence[InputFile], *, count: int, size: int) -> Iterator[tuple[InputFile, ...]]:
    """`files` in order, cut so that a batch has at most `count` files and `size` bytes (or one larger file)."""
    batch: list[InputFile] = []
    total = 0
    for file in files:
        if batch and (len(batch) == count or total + file.size > size):
            yield tuple(batch)
            batch, total = [], 0
        batch.append(file)
        total += file.size
    if batch:
        yield tuple(batch)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """What the system says against a path becomes an InputFault."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputFault(f"{path}: {(reason or type(error).__name__).lower()}") from error


def _files(path: Path, left_out: list[Path]) -> Iterator[tuple[Path, Path]]:
    """The files at `path`, each with its name relative to it."""
    with _named(path):
        mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        yield path, Path(path.name)
    elif stat.S_ISDIR(mode):
        for file in _walk(path, left_out):
            yield file, file.relative_to(path)
    else:
        raise InputFault(f"{path}: neither a file nor a folder")


def _walk(folder: Path, left_out: list[Path]) -> Iterator[Path]:
    with _named(folder), os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path, left_out)
        elif entry.is_file(follow_symlinks=False):
            yield path
        else:
            left_out.append(path)


def _checked_size(path: Path) -> int:
    """The size of a file that can be opened; only opening it shows that."""
    with _named(path), path.open("rb") as file:
        return os.fstat(file.fileno()).st_size


def _wanted_name(given: Path, relative: Path) -> str:
    joined = UNSAFE.sub("_", unicodedata.normalize("NFC", SEPARATOR.join(relative.parts)))
    name = "".join("_" if unicodedata.category(each).startswith("C") else each for each in joined).strip() or "_"
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    mark = hashlib.sha256(os.fsencode(given / relative)).hexdigest()[:8]
    end = name.encode()[-(MAX_NAME_BYTES - len(mark) - 1) :].decode(errors="ignore")
    return f"{mark}-{end}"


def _distinct(wanted: dict[Path, str]) -> dict[Path, str]:
    """Names that are unique, also without case: later ones are numbered."""
    taken: set[str] = set()
    names: dict[Path, str] = {}
    for path, name in wanted.items():
        stem, dot, suffix = name.rpartition(".") if "." in name[1:] else (name, "", "")
        candidate, number = name, 2
        while candidate.casefold() in taken:
            candidate, number = f"{stem}-{number}{dot}{suffix}", number + 1
        taken.add(candidate.casefold())
        names[path] = candidate
    return names

"""Object stores and folders through fsspec: streamed copies, JSON files, and errors that show no credentials."""

import errno
import hashlib
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field, frozen

from unstract_worker_core import serialization
from unstract_worker_core.config import ExecutorSettings, StoreSettings
from unstract_worker_core.errors import ConfigurationError, Fault, MessageError
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.observability.progress import mark_progress
from unstract_worker_file_processing.executor import FileFailed, NotNow
from unstract_worker_file_processing.platform.store_drivers import (
    CALL_SECONDS,
    S3_KEY_REFUSED,
    BucketMissing,
    credentials_refused,
    open_file_system,
    s3_code,
    s3_options,
)

# Size of a chunk in memory. S3 takes parts of at least 5 MiB, and holds a part twice while it is sent.
_CHUNK = 256 * 1024
_PART = 5 * 1024 * 1024
# The module behind a store, and the extra that brings it; by default fsspec itself.
_NEEDED = {
    "abfs": ("adlfs", "azure"),
    "gcs": ("gcsfs", "gcs"),
    "s3": ("s3fs", "platform"),
    "sftp": ("paramiko", "sftp"),
}
_OVER_HTTP = ("abfs", "gcs", "s3")
_PROTOCOLS = {"azure": "abfs", "gcs": "gcs", "minio": "s3", "s3": "s3"}
_PROBE_SECONDS = 10.0  # of `check`: the driver needs some of it to initialise
_COPY_SECONDS = 120.0  # within the store, of the largest file
# A customer's store that is away is tried again after this time, up to twice as long: each try holds a slot.
_CUSTOMER_SECONDS = 30.0
_ROOTED = ("file", "sftp")
_LONGEST_NAME, _LONGEST_KEY = 255, 1024  # bytes: of a name in a folder, of an object's key
_NO_SUCH_FILE = (IsADirectoryError, NotADirectoryError)

log = get_logger(__name__)


@frozen
class Copied:
    """A copied file: its sha256 in hexadecimal and its size in bytes."""

    sha256: str
    size: int


@define(eq=False)
class Store:
    """A file system of fsspec, opened when it is first needed; each process has its own. Safe for threads.

    An error that a customer's connector will meet again ends the file; any error of the platform's own store puts
    it off, since no document is at fault. A path with `..` in it is refused.

    Attributes:
        name: for people, such as "the store of uploads".
        protocol: fsspec's name of it.
        options: what opens it; never shown.
        of_customer: it is a connector of a workflow, not the platform's own store.
    """

    name: str
    protocol: str
    options: Mapping[str, Any] = field(repr=False)
    of_customer: bool = False
    _opened: Any = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def missing_extra(self) -> str | None:
        """The extra of this package that opening it needs and that is not installed; None: all is there."""
        module, extra = _NEEDED.get(self.protocol, ("fsspec", "platform"))
        return extra if find_spec(module) is None else None

    @property
    def location(self) -> str:
        """Where it is, for people: host and port, a folder, or the protocol."""
        endpoint = urlsplit(str(self.options.get("endpoint_url") or ""))
        return endpoint.netloc.rpartition("@")[2] or str(self.options.get("path") or self.protocol)

    def is_same_as(self, other: "Store") -> bool:
        """Whether both are one store, opened alike."""
        return self.protocol == other.protocol and self.options == other.options

    def is_within(self, path: str, folder: str) -> bool:
        """Whether no link leads from the folder to elsewhere. Only file systems of this machine have links."""
        if self.protocol not in ("dir", "file"):
            return True
        root = str(self.options.get("path") or "")
        real, inside = (Path(f"{root}/{each}" if root else each).resolve() for each in (path, folder))
        return real.is_relative_to(inside)

    def close(self) -> None:
        """Close the connection of an SSH client, whose thread would keep it; others close theirs. May be used again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if self.protocol == "sftp" and opened is not None:
            opened.client.close()

    def fits(self, path: str) -> bool:
        """Whether the path is not too long for such a store."""
        if self.protocol in ("dir", *_ROOTED):
            return len(path.rpartition("/")[2].encode()) <= _LONGEST_NAME
        return len(path.partition("/")[2].encode()) <= _LONGEST_KEY

    def read_json(self, path: str) -> Any:
        """What a JSON file holds; None if there is none or it is not JSON. Raises NotNow."""
        with self._guarded(path):
            try:
                return serialization.loads(self._call("cat_file", path))
            except (FileNotFoundError, MessageError):
                return None

    def write_json(self, path: str, value: Any) -> None:
        """Write a JSON file, over what is there. Raises FileFailed and NotNow."""
        self.write(path, serialization.dumps(value).encode())

    def write(self, path: str, content: bytes) -> None:
        """Write a file, over what is there. Raises FileFailed and NotNow."""
        with self._guarded(path):
            self._call("pipe_file", path, content)

    def duplicate(self, path: str, other: str, *, target: "Store | None" = None) -> None:
        """Copy a file within the store, over what is there. Raises FileFailed if there is none, and NotNow.

        `target`: the same store, if it has another name where the copy goes.
        """
        _refuse_to_leave(other)
        with self._guarded(path):
            try:
                self._call("cp_file", path, other, seconds=_COPY_SECONDS)
            except FileNotFoundError:  # the file, or the bucket that the copy goes to
                missing = (target or self)._missing(other)  # noqa: SLF001 - of this class
                if isinstance(missing, NotNow):
                    raise missing from None
                raise

    def probe(self, path: str, *, seconds: float = _PROBE_SECONDS) -> None:
        """Write a small file and delete it again, to see whether the store can be used. Raises NotNow."""
        with self._guarded(path):
            text = b"a probe of unstract-worker-file-processing check\n"
            self._call("pipe_file", path, text, seconds=seconds)
            self._call("rm_file", path, seconds=seconds)

    def look(self, path: str, *, seconds: float = _PROBE_SECONDS) -> None:
        """Whether a folder is there and may be read. Raises FileFailed or BucketMissing if it is not, and NotNow."""
        with self._guarded(path):
            self._call("info", path, seconds=seconds)

    def check_folder(self, path: str) -> None:
        """Whether files can be written to a folder, as far as that is known without writing one.

        A folder of a file system is made; of an object store only the bucket must be there. A listing that is denied
        says nothing: a key may be good for writing alone.

        Raises:
            FileFailed: a customer's store that will not take files: no such bucket, credentials refused.
            NotNow: it cannot be used now.
        """
        with self._guarded(f"{path}/"):
            try:
                if self.protocol in _ROOTED:
                    self._call("makedirs", path, exist_ok=True)
                elif self.protocol == "s3":
                    self._system().call_s3("list_objects_v2", Bucket=_bucket(path), MaxKeys=1)
                else:
                    self._call("info", _bucket(path))
            except PermissionError as error:
                may_write = self.protocol not in _ROOTED and s3_code(error) not in S3_KEY_REFUSED
                if not may_write or not credentials_refused(error):
                    raise

    def chunks(self, path: str) -> Generator[bytes, None, None]:
        """A file's content, piece by piece. Raises FileFailed if there is none, and NotNow."""
        with self._guarded(path):
            opened = self._system().open(path, "rb", block_size=_CHUNK)
        with closing(opened):
            while True:
                with self._guarded(path):
                    chunk: bytes = opened.read(_CHUNK)
                if not chunk:
                    return
                yield chunk

    @contextmanager
    def writing(self, path: str) -> Iterator[Any]:
        """A file to write, over what is there. Raises NotNow."""
        more = {"max_concurrency": 1} if self.protocol == "s3" else {}
        with self._guarded(path), self._system().open(path, "wb", block_size=_PART, **more) as opened:
            yield opened

    @contextmanager
    def _guarded(self, path: str) -> Iterator[None]:
        _refuse_to_leave(path)
        try:
            yield
        except (FileFailed, NotNow):
            raise
        except Exception as error:  # noqa: BLE001 - boundary to the drivers: their texts may hold credentials and URLs
            raise self._explained(error, path) from None

    def _explained(self, error: Exception, path: str) -> FileFailed | NotNow:
        kind, name = type(error).__name__, path.rpartition("/")[2]
        if isinstance(error, FileNotFoundError):
            return self._missing(path)
        if isinstance(error, _NO_SUCH_FILE):
            return FileFailed(f"{name} is not a file in {self.name}")
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return FileFailed(f"{self.name} does not take a name as long as {name}")
        refused = credentials_refused(error)
        if refused and self.of_customer:
            return FileFailed(f"{self.name} refuses access with the connector's credentials ({kind})")
        (log.error if refused else log.warning)("a store cannot be used now", store=self.name, kind=kind)
        return self._not_now(f"{self.name} cannot be used now ({kind})")

    def _missing(self, path: str) -> FileFailed | NotNow:
        """A file that is not there is the file's fault, and a bucket that is not there its owner's."""
        bucket = _bucket(path)
        try:
            if self.protocol not in _ROOTED:
                self._call("info", bucket)
        except FileNotFoundError:
            text = f"there is no {bucket} in {self.name}"
            if self.of_customer:
                return FileFailed(text)
            log.error("the platform's own store has no such bucket", store=self.name, bucket=bucket)
            return BucketMissing(text)
        except Exception as error:  # noqa: BLE001 - boundary to the drivers
            if not credentials_refused(error):
                return self._explained(error, path)
        return FileFailed(f"{path.rpartition('/')[2]} is not in {self.name}")

    def _not_now(self, reason: str) -> NotNow:
        if not self.of_customer:
            return NotNow(reason)
        return NotNow(reason, delay_seconds=_CUSTOMER_SECONDS * random.uniform(1, 2), shared=False)

    def _call(self, method: str, *arguments: Any, seconds: float = CALL_SECONDS, **options: Any) -> Any:
        # aiohttp waits for ever for the go-ahead to a body that it offered: only this ends it.
        limit = {"timeout": seconds} if self.protocol in _OVER_HTTP else {}
        return getattr(self._system(), method)(*arguments, **limit, **options)

    def _system(self) -> Any:
        with self._lock:
            if self._opened is None:
                self._opened = open_file_system(self.protocol, self.options)
            return self._opened


def store_of(settings: StoreSettings, name: str) -> Store:
    """The store that a variable describes."""
    options = settings.options()
    if settings.provider in ("minio", "s3"):
        options = s3_options(options)
    elif settings.provider == "local":
        return folder(name, options.get("path"))
    return Store(name, _PROTOCOLS[settings.provider], options)


def platform_stores(settings: ExecutorSettings) -> tuple[Store, Store]:
    """The stores of executions and of uploads. Raises ConfigurationError."""
    if settings.files_store is None or settings.uploads_store is None or settings.files_prefix is None:
        raise ConfigurationError((Fault("WORKER_FILE_EXECUTOR", "platform needs its stores and their folders"),))
    files = store_of(settings.files_store, "the store of executions (WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS)")
    uploads = store_of(settings.uploads_store, "the store of uploads (API_FILE_STORAGE_CREDENTIALS)")
    faults = tuple(
        Fault("WORKER_FILE_EXECUTOR", f"install unstract-worker-file-processing[{extra}]")
        for extra in {files.missing_extra(), uploads.missing_extra()} - {None}
    )
    if faults:
        raise ConfigurationError(faults)
    return files, uploads


def folder(name: str, path: str | None = None) -> Store:
    """A folder of this machine; without a path the paths in it are absolute, or below the working directory."""
    if path is None:
        return Store(name, "file", {"auto_mkdir": True})
    return Store(name, "dir", {"path": path, "target_protocol": "file", "target_options": {"auto_mkdir": True}})


def copy_hashed(source: Store, path: str, target: Store, other: str, *, timeout_seconds: float) -> Copied:
    """Copy a file from one store to another, a chunk at a time; within one store the store itself copies.

    Raises:
        FileFailed: there is no such file.
        NotNow: a store is away, or the copy took longer than the timeout.
    """
    if source.is_same_as(target):
        # First: the hash must be of the copy, as the original may change.
        source.duplicate(path, other, target=target)
        return _hashed(target, other, lambda chunk: None, timeout_seconds)
    with target.writing(other) as writer:
        return _hashed(source, path, writer.write, timeout_seconds)


def _hashed(source: Store, path: str, write: Callable[[bytes], object], timeout_seconds: float) -> Copied:
    ends, digest, size = time.monotonic() + timeout_seconds, hashlib.sha256(), 0
    with closing(source.chunks(path)) as chunks:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            write(chunk)
            mark_progress()
            if time.monotonic() > ends:
                text = f"copying from {source.name} took longer than {timeout_seconds:.0f} s"
                raise NotNow(text, shared=False)  # of this file: the store answers
    return Copied(digest.hexdigest(), size)


def _bucket(path: str) -> str:
    return path.strip("/").partition("/")[0]


def _refuse_to_leave(path: str) -> None:
    if ".." in path.split("/") or "\0" in path:
        raise FileFailed(f"the path {path!r} is refused: it leads out of its folder")

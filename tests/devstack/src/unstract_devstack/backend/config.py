"""The settings of the reference backend: where it listens, where it keeps its data, and how it behaves."""

from enum import StrEnum
from pathlib import Path

from attrs import field, frozen


class Mode(StrEnum):
    """How idempotency keys are treated: ignored, as the recorded backend does, or applied once and replayed."""

    AS_REAL = "as-real"
    KEYED = "keyed"


class FileWork(StrEnum):
    """What execute-file does: real work, or the error that was recorded."""

    REAL = "real"
    RECORDED = "recorded"


class UploadRules(StrEnum):
    """What the public API takes in one call: what the platform takes, or any number of any files and tags."""

    PLATFORM = "platform"
    NONE = "none"


@frozen
class BackendConfig:
    """Settings of one reference backend.

    Seconds everywhere. ``port`` 0 takes a free one. Without ``broker_url`` nothing can be sent, without
    ``redis_url`` no status cache is written. ``file_delay`` is the shortest and the longest time a file takes on top
    of its work. ``log_drain`` takes the workers' log events off their queue; it is off here and on in the command,
    for tests that look at that queue. ``poll_seconds`` is how often a synchronous caller's execution is read; the
    platform looks every 2 seconds. ``history_limit`` is MAX_FILE_EXECUTION_COUNT of new workflows. ``uploads_store``:
    an object store that uploads are put into too, as API_FILE_STORAGE_CREDENTIALS describes it. ``shared_threads``: the
    internal API and the public one share so many threads, and a synchronous caller holds one while it waits (the
    platform's default: 2 x 2).
    """

    data: Path
    api_key: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    broker_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    quorum_queues: bool = False
    confirm_publish: bool = False
    mode: Mode = Mode.AS_REAL
    execute_file: FileWork = FileWork.REAL
    file_delay: tuple[float, float] = (0.0, 0.0)
    club_seconds: float = 1.0
    buffer_loop: bool = True
    buffer_loop_seconds: float = 1.0
    log_drain: bool = False
    poll_seconds: float = 0.1
    history_limit: int = 3
    upload_rules: UploadRules = UploadRules.PLATFORM
    uploads_store: str = field(default="", repr=False)
    shared_threads: int | None = None

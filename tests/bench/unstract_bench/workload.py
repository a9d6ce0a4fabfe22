"""The load: what one run of it is, its files, and how it is started at the workers."""

import time
from hashlib import sha256
from typing import Any
from uuid import uuid4

from attrs import frozen

from unstract_bench.double.client import DoubleProcess
from unstract_devstack.producer import API_QUEUE, Producer, StartOptions

FILES, BATCHES = 1000, 100
# A file: three calls of 2 ms and one of 100 ms.
EXECUTE_SECONDS, OTHER_SECONDS, OTHER_CALLS = 0.1, 0.002, 3
CALLS_A_FILE = OTHER_CALLS + 1
ORGANIZATION = "org_bench"
_SIZE = 48_211


@frozen
class Load:
    """Files in batches of equal size, so many batches at a time; a batch's files one after another."""

    files: int = FILES
    batches: int = BATCHES
    in_flight: int = BATCHES
    kind: str = "api"
    history: bool = False

    @property
    def ideal_seconds(self) -> float:
        """How long it takes where nothing but the backend's own time counts."""
        file = EXECUTE_SECONDS + OTHER_CALLS * OTHER_SECONDS
        return self.files * file / min(self.in_flight, self.batches)


def start(producer: Producer, double: DoubleProcess, load: Load) -> tuple[str, float]:
    """Open an execution at the double and send its start message as the platform does.

    Returns:
        The execution's id, and the monotonic time before the message was published.
    """
    execution_id, workflow_id, pipeline_id = (str(uuid4()) for _ in range(3))
    double.open(execution_id, workflow_id, kind=load.kind, files=load.files, batches=load.batches)
    files = uploaded(load.files, workflow_id, execution_id) if load.kind == "api" else {}
    options = StartOptions(pipeline_id=pipeline_id, use_file_history=load.history)
    queue = API_QUEUE if load.kind == "api" else None
    began = time.monotonic()
    producer.start_execution(ORGANIZATION, workflow_id, execution_id, files, options, queue)
    return execution_id, began


def listed(files: int) -> dict[str, dict[str, Any]]:
    """`files` source files, by their path."""
    return {f"bench/in/{number}.pdf": _file(number, f"bench/in/{number}.pdf", "FILESYSTEM") for number in _upto(files)}


def uploaded(files: int, workflow_id: str, execution_id: str) -> dict[str, dict[str, Any]]:
    """`files` uploads of an API deployment, by their name, each of a content of its own."""
    folder = f"unstract/api/{ORGANIZATION}/{workflow_id}/{execution_id}"
    made = {}
    for number in _upto(files):
        content = sha256(f"{execution_id}:{number}".encode()).hexdigest()
        file = _file(number, f"{folder}/{number}.pdf", "API")
        made[f"{number}.pdf"] = file | {"file_hash": content, "provider_file_uuid": None, "fs_metadata": None}
    return made


def _upto(files: int) -> range:
    return range(1, files + 1)


def _file(number: int, path: str, source: str) -> dict[str, Any]:
    return {
        "file_path": path,
        "file_hash": None,
        "file_name": f"{number}.pdf",
        "source_connection_type": source,
        "file_destination": None,
        "is_executed": False,
        "file_size": _SIZE,
        "mime_type": "application/pdf",
        "provider_file_uuid": f"etag-{number}",
        "fs_metadata": {"size": _SIZE},
        "file_number": number,
    }

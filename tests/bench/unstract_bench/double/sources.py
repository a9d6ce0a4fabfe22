"""The files of a run: as the source lists them for ETL, and as Django sends them for API uploads."""

from hashlib import sha256
from typing import Any

__all__ = ["listed", "uploaded"]

_SIZE = 48_211


def listed(files: int) -> dict[str, dict[str, Any]]:
    """`files` source files, by their path."""
    return {f"bench/in/{number}.pdf": _file(number, f"bench/in/{number}.pdf", "FILESYSTEM") for number in _upto(files)}


def uploaded(files: int, workflow_id: str, execution_id: str) -> dict[str, dict[str, Any]]:
    """`files` uploads of an API deployment, by their name, each of a content of its own."""
    folder = f"unstract/api/org_bench/{workflow_id}/{execution_id}"
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

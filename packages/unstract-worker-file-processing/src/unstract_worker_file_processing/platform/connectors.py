"""Sources and destinations of ETL workflows that fsspec can open. Credentials are in memory only.

What cannot be served is refused with what to do, before anything is executed.
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from attrs import frozen

from unstract_worker_core.backend.tooling import ConnectedEnd, ConnectedWorkflow
from unstract_worker_file_processing.executor import FileFailed
from unstract_worker_file_processing.platform.stores import Store, s3_options

__all__ = ["Destination", "destination_of", "source_of"]

_ELSEWHERE = (
    "leave the batches of this workflow to the platform's own file workers (CHORD_COMPAT, WORKER_TRAFFIC_ORGANIZATIONS)"
)


@frozen
class Destination:
    """A folder that results are written to."""

    store: Store
    folder: str

    def path_of(self, output: str) -> str:
        """Where a result goes that lies at `output` among the files of its execution."""
        return f"{self.folder}/{output.rpartition('/')[2]}"


def source_of(workflow: ConnectedWorkflow) -> Store:
    """The store that the workflow reads. Raises FileFailed for a source that is not served."""
    end = workflow.source_config
    if end.connection_type != "FILESYSTEM":
        raise FileFailed(f"a source of type {end.connection_type} is not served by this executor: {_ELSEWHERE}")
    try:
        return _store(end, "the source")
    except _NotServed as error:
        raise FileFailed(str(error)) from None


def destination_of(workflow: ConnectedWorkflow) -> Destination:
    """Where the workflow's results go. Raises FileFailed for a destination that is not served."""
    end = workflow.destination_config
    if end.connection_type != "FILESYSTEM":
        text = f"a destination of type {end.connection_type} is not served by this executor: {_ELSEWHERE}"
        raise FileFailed(destination=text)
    folder = end.configuration.get("outputFolder")
    if not isinstance(folder, str) or not folder.strip("/"):
        raise FileFailed(destination="the destination names no folder (outputFolder)")
    try:
        store = _store(end, "the destination")
    except _NotServed as error:
        raise FileFailed(destination=str(error)) from None
    rooted = store.protocol in ("file", "sftp")
    return Destination(store, folder.rstrip("/") if rooted else folder.strip("/"))


class _NotServed(Exception):
    """A connector that fsspec does not open, or whose settings are not what is known of them."""


def _store(end: ConnectedEnd, name: str) -> Store:
    connector = end.connector_instance
    if connector is None:
        raise _NotServed(f"{name} has no connector")
    kind, settings = connector.connector_id.partition("|")[0], connector.connector_metadata
    protocol, options_of = _KINDS.get(kind, ("", _none))
    if not protocol:
        raise _NotServed(f"{name} is a {kind}, which this executor does not open: {_ELSEWHERE}")
    try:
        return Store(name, protocol, options_of(settings))
    except (KeyError, ValueError) as error:
        raise _NotServed(f"{name} is a {kind} whose settings are not what is known ({type(error).__name__})") from None


def _none(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def _s3(settings: Mapping[str, Any]) -> dict[str, Any]:
    names = ("endpoint_url", "key", "region_name", "secret")
    return s3_options({name: settings[name] for name in names if settings.get(name)})


def _google(settings: Mapping[str, Any]) -> dict[str, Any]:
    token = settings["json_credentials"]
    return {"token": json.loads(token) if isinstance(token, str) else token}


def _azure(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"account_name": settings["account_name"], "account_key": settings["access_key"]}


def _sftp(settings: Mapping[str, Any]) -> dict[str, Any]:
    more = {name: settings[name] for name in ("password", "username") if settings.get(name)}
    return {"host": settings["host"], "port": int(settings.get("port") or 22), **more}


def _folder(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"auto_mkdir": True}


# The kinds of connectors, by the first part of their id, with fsspec's protocol.
_KINDS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = MappingProxyType(
    {
        "amazon_s3": ("s3", _s3),
        "azure_cloud_storage": ("abfs", _azure),
        "google_cloud_storage": ("gcs", _google),
        "local": ("file", _folder),
        "minio": ("s3", _s3),
        "s3": ("s3", _s3),
        "sftp": ("sftp", _sftp),
    }
)

"""Sources and destinations of ETL workflows that fsspec can open. Credentials are in memory only.

What cannot be served is refused with what to do, before anything is executed. Of the platform's connectors the contract
shows one, `minio`, with endpoint_url, key, secret and region_name. Inferred: a kind that has the name of one of the
providers of the platform's stores, or is `sftp`, is that; its settings are taken by the names of fsspec's parameters.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import frozen

from unstract_worker_core.backend.workflows import ConnectedEnd, ConnectedWorkflow
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
    known = _KINDS.get(kind)
    if known is None:
        served = ", ".join(_KINDS)
        raise _NotServed(f"{name} is a {kind}, which this executor does not open (it opens {served}): {_ELSEWHERE}")
    options = {key: settings[key] for key in (*known.needed, *known.optional) if settings.get(key)}
    missing = [key for key in known.needed if key not in options]
    if missing:
        there = ", ".join(sorted(map(str, settings))) or "none"
        text = f"{name} is a {kind} without the settings {', '.join(missing)} (there are: {there})"
        raise _NotServed(f"{text}, and what others mean is not known: {_ELSEWHERE}")
    store = Store(name, known.protocol, _options(known.protocol, options))
    if (extra := store.missing_extra()) is not None:
        raise _NotServed(f"{name} is a {kind}, which needs unstract-worker-file-processing[{extra}] to be installed")
    return store


def _options(protocol: str, options: dict[str, Any]) -> dict[str, Any]:
    if protocol == "s3":
        return s3_options(options)
    if protocol == "sftp" and not str(options.setdefault("port", 22)).isdigit():
        raise _NotServed("an sftp connector's port is no number: correct it in the connector's settings")
    if protocol == "sftp":
        options["port"] = int(options["port"])
    return {"auto_mkdir": True} if protocol == "file" else options


@frozen
class _Kind:
    """A kind of connector: fsspec's protocol, and the settings that open it."""

    protocol: str
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


_S3 = _Kind("s3", optional=("endpoint_url", "key", "region_name", "secret"))
# By the first part of a connector's id.
_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "azure": _Kind("abfs", ("account_name", "account_key")),
        "gcs": _Kind("gcs", ("token",), ("project",)),
        "local": _Kind("file"),
        "minio": _S3,
        "s3": _S3,
        "sftp": _Kind("sftp", ("host",), ("password", "port", "username")),
    }
)

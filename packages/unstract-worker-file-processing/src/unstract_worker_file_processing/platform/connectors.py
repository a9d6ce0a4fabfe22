"""Sources and destinations of ETL workflows that fsspec can open. Credentials are in memory only.

What cannot be served is refused with what to do, before anything is executed. Of the platform's connectors the contract
shows one, `minio`, with endpoint_url, key, secret and region_name. Inferred: a kind that has the name of one of the
providers of the platform's stores, or is `sftp`, is that; its settings are taken by the names of fsspec's parameters.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from attrs import frozen

from unstract_worker_core.backend.workflows import ConnectedEnd, ConnectedWorkflow
from unstract_worker_file_processing.executor import FileFailed
from unstract_worker_file_processing.platform.store_drivers import s3_options
from unstract_worker_file_processing.platform.stores import Store

_ELSEWHERE = (
    "leave the batches of this workflow to the platform's own file workers (CHORD_COMPAT, WORKER_TRAFFIC_ORGANIZATIONS)"
)


@frozen
class Destination:
    """A folder that results are written to. Its errors are the destination's, not the workflow's."""

    store: Store
    folder: str

    def path_of(self, output: str) -> str:
        """Where a result goes that lies at `output` among the files of its execution."""
        return f"{self.folder}/{output.rpartition('/')[2]}"

    def check(self) -> None:
        """Raises FileFailed if results are known not to be taken, NotNow. See `Store.check_folder`."""
        with _at_destination():
            self.store.check_folder(self.folder)

    def close(self) -> None:
        """See `Store.close`."""
        self.store.close()

    def write_json(self, output: str, value: Any) -> None:
        """Write a result, over what is there. `output`: its file name. Raises FileFailed and NotNow."""
        with _at_destination():
            self.store.write_json(self.path_of(output), value)


@contextmanager
def _at_destination() -> Iterator[None]:
    try:
        yield
    except FileFailed as error:
        raise FileFailed(destination=error.workflow) from None


def source_of(workflow: ConnectedWorkflow) -> Store:
    """The store that the workflow reads. Raises FileFailed for a source that is not served."""
    end = workflow.source_config
    if end.connection_type != "FILESYSTEM":
        raise FileFailed(f"a source of type {end.connection_type} is not served by this executor: {_ELSEWHERE}")
    return _store(end, "the source")


def destination_of(workflow: ConnectedWorkflow) -> Destination:
    """Where the workflow's results go. Raises FileFailed for a destination that is not served."""
    end = workflow.destination_config
    with _at_destination():
        if end.connection_type != "FILESYSTEM":
            raise FileFailed(
                f"a destination of type {end.connection_type} is not served by this executor: {_ELSEWHERE}"
            )
        folder = end.configuration.get("outputFolder")
        if not isinstance(folder, str) or not folder.strip("/"):
            raise FileFailed("the destination names no folder (outputFolder)")
        store = _store(end, "the destination")
    rooted = store.protocol in ("file", "sftp")
    return Destination(store, folder.rstrip("/") if rooted else folder.strip("/"))


def _store(end: ConnectedEnd, name: str) -> Store:
    connector = end.connector_instance
    if connector is None:
        raise FileFailed(f"{name} has no connector")
    kind, settings = connector.connector_id.partition("|")[0], connector.connector_metadata
    known = _KINDS.get(kind)
    if known is None:
        served = ", ".join(_KINDS)
        raise FileFailed(f"{name} is a {kind}, which this executor does not open (it opens {served}): {_ELSEWHERE}")
    options = {key: settings[key] for key in (*known.needed, *known.optional) if settings.get(key)}
    missing = [key for key in known.needed if key not in options]
    if missing:
        there = ", ".join(sorted(map(str, settings))) or "none"
        text = f"{name} is a {kind} without the settings {', '.join(missing)} (there are: {there})"
        raise FileFailed(f"{text}, and what others mean is not known: {_ELSEWHERE}")
    store = Store(name, known.protocol, _options(known.protocol, options), of_customer=True)
    if (extra := store.missing_extra()) is not None:
        raise FileFailed(f"{name} is a {kind}, which needs unstract-worker-file-processing[{extra}] to be installed")
    return store


def _options(protocol: str, options: dict[str, Any]) -> dict[str, Any]:
    if protocol == "s3":
        return s3_options(options)
    if protocol == "file":
        return {"auto_mkdir": True}
    if protocol == "gcs" and not isinstance(options["token"], dict):  # others are the worker's own identity, or a file
        raise FileFailed("a gcs connector's token is not an object: correct it in the connector's settings")
    if protocol == "sftp":
        if not str(options.setdefault("port", 22)).isdecimal():
            raise FileFailed("an sftp connector's port is no number: correct it in the connector's settings")
        return {**options, **_SFTP, "port": int(options["port"])}
    return options


@frozen
class _Kind:
    protocol: str
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


# Without a key of its own, a customer's connector would be opened with the worker's.
_S3 = _Kind("s3", ("key", "secret"), ("endpoint_url", "region_name"))
_SFTP = {
    "allow_agent": False, "look_for_keys": False,
    "timeout": 10.0, "banner_timeout": 10.0, "auth_timeout": 10.0, "channel_timeout": 10.0,
}  # fmt: skip
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

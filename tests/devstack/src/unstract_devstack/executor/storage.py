"""The platform's store as its variables describe it, opened with fsspec: independent of how the workers open it."""

import json
from typing import Any

import fsspec


def opened(variable: str) -> Any:
    """The file system of a variable such as TEMPORARY_REMOTE_STORAGE."""
    described = json.loads(variable)
    credentials = described.get("credentials", {})
    if described["provider"] == "local":
        return fsspec.filesystem(
            "dir", path=credentials["path"], target_protocol="file", target_options={"auto_mkdir": True}
        )
    return fsspec.filesystem("s3", **credentials, skip_instance_cache=True, use_listings_cache=False)


def local(path: object) -> str:
    """A folder as a store."""
    return json.dumps({"provider": "local", "credentials": {"path": str(path)}})


def minio(url: str, *, secret: str) -> str:
    """An S3 stand-in as a store."""
    return json.dumps({"provider": "minio", "credentials": {"endpoint_url": url, "key": "stand-in", "secret": secret}})

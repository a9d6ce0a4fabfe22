"""The drivers of stores: opens fsspec's file systems with time limits and no caches, and says what their errors mean.

The texts of their errors are not read: they may hold credentials and URLs.
"""

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from unstract_worker_file_processing.executor import NotNow

CALL_SECONDS = 30.0
# A store that is away, or silent, is noticed within about twenty seconds; the file is put off then.
_S3_CONFIG = {
    "connect_timeout": 5,
    "read_timeout": 10,
    "retries": {"max_attempts": 0},
    "request_checksum_calculation": "when_required",  # older MinIO knows no others, and each costs a copy
    "response_checksum_validation": "when_required",
}
_S3_ATTEMPTS = 2
# What the drivers raise where a server refuses the credentials, by name: they need not be installed. S3's reasons that
# are final, in place of a mere "access denied", which may concern one operation; and the one that our clock causes.
_CREDENTIALS_REFUSED = frozenset(
    {
        "AuthenticationException", "ClientAuthenticationError", "DefaultCredentialsError", "NoCredentialsError",
        "PartialCredentialsError", "PermissionError",
    }
)  # fmt: skip
S3_KEY_REFUSED = frozenset({"AccountProblem", "ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
_S3_CLOCK = "RequestTimeTooSkewed"
_HTTP_REFUSED = (401, 403)


def open_file_system(protocol: str, options: Mapping[str, Any]) -> Any:
    """A file system of its own. SFTP connects at once."""
    import fsspec  # only with this executor, and only where files are handled

    options = {**options, "skip_instance_cache": True}
    if protocol == "sftp":
        opened = fsspec.filesystem(protocol, **options)
        opened.ftp.get_channel().settimeout(CALL_SECONDS)
        return opened
    opened = fsspec.filesystem(protocol, **options, use_listings_cache=False)
    if protocol == "s3":
        opened.retries = _S3_ATTEMPTS
        opened.call_s3 = partial(_call_s3, opened.call_s3)  # what files use
    return opened


def s3_options(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Fsspec's options for S3, from endpoint_url, key, secret and region_name."""
    options = dict(credentials)
    region = options.pop("region_name", None)
    more = {"client_kwargs": {"region_name": region}} if region else {}
    return {**options, **more, "config_kwargs": _S3_CONFIG}


def _call_s3(call: Callable[..., Any], *arguments: Any, Body: bytes | None = None, **options: Any) -> Any:  # noqa: N803
    """A call of S3 within its time. Bytes are sent as a file, which each try rewinds: the HTTP client copies bytes."""
    if Body:
        options["Body"] = io.BufferedReader(io.BytesIO(Body))
    return call(*arguments, timeout=CALL_SECONDS, **options)


class BucketMissing(NotNow):
    """The platform's own store does not have the bucket or folder that its variables name."""


def s3_code(error: BaseException) -> str:
    """S3's own word for an error; "" for other stores."""
    response = getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def credentials_refused(error: BaseException) -> bool:
    """Whether a store refuses the credentials, or what they ask for."""
    names = {each.__name__ for each in type(error).__mro__}
    statuses = (getattr(error, "code", None), getattr(error, "status_code", None))  # of Google's drivers, and Azure's
    refused = bool(names & _CREDENTIALS_REFUSED) or any(status in _HTTP_REFUSED for status in statuses)
    return refused and s3_code(error) != _S3_CLOCK

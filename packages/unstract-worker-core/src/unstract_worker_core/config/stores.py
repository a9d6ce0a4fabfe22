"""Where the platform keeps files: an object store or a folder, as its variables describe it in JSON."""

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from unstract_worker_core.config.parsers import Secret

_PROVIDERS = ("azure", "gcs", "local", "minio", "s3")
# Parts of the credentials that are no secret by themselves, and would have ordinary words taken out of the log.
_PLAIN = frozenset({"account_name", "bucket", "endpoint_url", "key", "project", "provider", "region_name"})


@frozen
class StoreSettings:
    """A store. `credentials` is a JSON object: what opens it, by the names that the platform uses."""

    provider: str
    credentials: Secret

    def options(self) -> dict[str, Any]:
        """The credentials, for the one place that opens the store."""
        found: dict[str, Any] = json.loads(self.credentials.reveal())
        return found

    def secrets(self) -> Iterator[str]:
        """Every secret value in the credentials, for the log's redaction."""
        return _texts(self.options())


def store(value: str) -> StoreSettings:
    """``{"provider": "minio", "credentials": {...}}``, as the platform writes it, in single quotes or not."""
    if value[:1] == value[-1:] == "'":
        value = value[1:-1]
    try:
        found = json.loads(value)
    except ValueError:
        raise ValueError("is not JSON") from None
    credentials = found.get("credentials", {}) if isinstance(found, dict) else None
    if not isinstance(credentials, dict):
        raise ValueError('must be a JSON object such as {"provider": "s3", "credentials": {}}')  # noqa: TRY004 - a fault
    if found.get("provider") not in _PROVIDERS:
        raise ValueError(f"provider must be one of {', '.join(_PROVIDERS)}")
    return StoreSettings(found["provider"], Secret(json.dumps(credentials)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in _PLAIN:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)

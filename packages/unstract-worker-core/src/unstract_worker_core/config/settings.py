"""All settings of a worker process, read once at its start and handed down."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import field, fields, frozen, has

from unstract_worker_core.config import sections
from unstract_worker_core.config.secret import Secret
from unstract_worker_core.statuses import WorkerType

__all__ = ["Settings"]


@frozen(kw_only=True)
class Settings:
    """Settings of one worker process.

    Attributes:
        platform_redis: the database that the backend uses (API results, UI logs).
        cache_redis: the database with the marks of files in use.
        ledger_redis: the database of the run ledger; the platform's, unless told otherwise.
        rescue_unseen_after: age in seconds of an execution that the ledger never saw before it is rescued.
        crash_point: where a test has this process kill itself; None outside of tests.
        warnings: for the log; they name variables, never values.
    """

    worker: WorkerType
    backend: sections.BackendSettings
    broker: sections.BrokerSettings
    platform_redis: sections.RedisSettings = field(factory=sections.RedisSettings)
    cache_redis: sections.RedisSettings = field(factory=sections.RedisSettings)
    ledger_redis: sections.RedisSettings = field(factory=sections.RedisSettings)
    ledger: sections.LedgerSettings = field(factory=sections.LedgerSettings)
    process: sections.ProcessSettings = field(factory=sections.ProcessSettings)
    logging: sections.LoggingSettings = field(factory=sections.LoggingSettings)
    files: sections.FileSettings = field(factory=sections.FileSettings)
    chord: sections.ChordSettings = field(factory=sections.ChordSettings)
    webhook: sections.WebhookSettings = field(factory=sections.WebhookSettings)
    tracing: sections.TracingSettings = field(factory=sections.TracingSettings)
    traffic: sections.TrafficSettings = field(factory=sections.TrafficSettings)
    name: str = "unstract-worker"
    version: str = "0"
    instance: str = "local"
    organizations: tuple[str, ...] = ()
    rescue_unseen_after: float | None = None
    crash_testing: bool = False
    crash_point: sections.CrashPoint | None = None
    development: bool = False
    warnings: tuple[str, ...] = ()

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, with the passwords inside URLs, for the log's redaction. Never print them."""
        return tuple(sorted(set(_secrets(self)), key=len, reverse=True))


def _secrets(section: Any) -> Iterator[str]:
    for attribute in fields(type(section)):
        value = getattr(section, attribute.name)
        if isinstance(value, Secret):
            yield value.reveal()
            yield from _passwords(value.reveal())
        elif has(type(value)):
            yield from _secrets(value)


def _passwords(urls: str) -> Iterator[str]:
    for url in urls.split(";"):
        password = None
        with suppress(ValueError):  # a key may look like a URL without being one
            password = urlsplit(url).password if "://" in url else None
        if password:
            yield password
            yield unquote(password)

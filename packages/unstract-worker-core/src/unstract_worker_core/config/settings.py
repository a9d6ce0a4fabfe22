"""All settings of a worker process, read once at its start and handed down."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import Attribute, Factory, field, fields, frozen, has

from unstract_worker_core.config import parsers as p
from unstract_worker_core.config import sections
from unstract_worker_core.config.declarations import Declaration, declarations, env
from unstract_worker_core.config.parsers import Secret, StoreSettings
from unstract_worker_core.config.urls import BrokerSource, ChordSource, redis_url
from unstract_worker_core.statuses import WorkerType


@frozen(kw_only=True)
class Settings:
    """Settings of one worker process.

    Attributes:
        platform_redis: the database that the backend uses (API results, UI logs).
        cache_redis: the database with the marks of files in use.
        ledger_redis: the database of the run ledger; the platform's, unless set otherwise.
        rescue_unseen_after: age in seconds of an execution that the ledger never saw before it is rescued.
        crash_point: where a test has this process kill itself; None outside of tests.
        warnings: for the log; they name variables, never values.
    """

    worker: WorkerType
    backend: sections.BackendSettings
    broker: sections.BrokerSettings
    platform_redis: sections.RedisSettings = field(factory=sections.RedisSettings)
    cache_redis: sections.RedisSettings = field(factory=sections.RedisSettings)
    ledger_redis: sections.RedisSettings = env(
        "WORKER_LEDGER_REDIS_URL",
        redis_url,
        "Redis of the run ledger",
        default=Factory(sections.RedisSettings),
        shown="the platform's, REDIS_*",
        holds_secret=True,
    )
    ledger: sections.LedgerSettings = field(factory=sections.LedgerSettings)
    process: sections.ProcessSettings = field(factory=sections.ProcessSettings)
    logging: sections.LoggingSettings = field(factory=sections.LoggingSettings)
    files: sections.FileSettings = field(factory=sections.FileSettings)
    executor: sections.ExecutorSettings = field(factory=sections.ExecutorSettings)
    chord: sections.ChordSettings = field(factory=sections.ChordSettings)
    webhook: sections.WebhookSettings = field(factory=sections.WebhookSettings)
    tracing: sections.TracingSettings = field(factory=sections.TracingSettings)
    traffic: sections.TrafficSettings = field(factory=sections.TrafficSettings)
    name: str = env("WORKER_NAME", p.text, "name in logs", default="unstract-worker")
    version: str = env(
        "WORKER_VERSION", p.text, "version that the backend gets", default="0", shown="the distribution's"
    )
    instance: str = env(
        "WORKER_INSTANCE_ID HOSTNAME", p.text, "name of this process", default="local", shown="the host's name"
    )
    organizations: tuple[str, ...] = env(
        "WORKER_ORGANIZATIONS", p.names, "organizations that rescue looks at", default=()
    )
    rescue_unseen_after: float | None = env(
        "RESCUE_UNSEEN_AFTER",
        p.seconds(1, 2**31),
        "age of an execution that the ledger never saw before it is rescued; unset: never",
        default=None,
    )
    crash_testing: bool = env(
        "WORKER_CRASH_TESTING", p.flag, "for tests: lets WORKER_CRASH_POINT have its effect", default=False
    )
    crash_point: p.CrashPoint | None = env(
        "WORKER_CRASH_POINT",
        p.crash_point,
        "for tests: where this worker kills itself, as `name[:nth][:group]`",
        default=None,
    )
    development: bool = False
    warnings: tuple[str, ...] = ()

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, with the passwords inside URLs, for the log's redaction. Never print them."""
        return tuple(sorted(set(_secrets(self)), key=len, reverse=True))


# Servers without a user and without options: where they are must be readable in the log.
_NO_CREDENTIALS = re.compile(r"(?:(?:rediss?|sentinel|amqps?)://[^@?#;]*;?)+")


def _secrets(section: Any) -> Iterator[str]:
    for attribute in fields(type(section)):
        value = getattr(section, attribute.name)
        if isinstance(value, StoreSettings):
            yield from value.secrets()
        elif isinstance(value, Secret):
            if not _NO_CREDENTIALS.fullmatch(value.reveal()):
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


_SECTIONS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (sections.BackendSettings, ("",)),
    (BrokerSource, ("",)),
    (sections.RedisSettings, ("REDIS_", "CACHE_REDIS_")),
    (Settings, ("",)),
    (sections.LedgerSettings, ("",)),
    (sections.ProcessSettings, ("",)),
    (sections.LoggingSettings, ("",)),
    (sections.FileSettings, ("",)),
    (sections.ExecutorSettings, ("",)),
    (sections.WebhookSettings, ("",)),
    (sections.TrafficSettings, ("",)),
    (sections.TracingSettings, ("",)),
    (ChordSource, ("",)),
)


def declared_variables() -> Iterator[tuple["Attribute[Any]", Declaration, str]]:
    """Every declared field, section by section, with the prefix of its section."""
    for section, prefixes in _SECTIONS:
        for prefix in prefixes:
            for attribute, declaration in declarations(section):
                yield attribute, declaration, prefix

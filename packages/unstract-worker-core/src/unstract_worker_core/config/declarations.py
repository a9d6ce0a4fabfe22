"""What is known about one environment variable: names, reading, purpose, defaults."""

from collections.abc import Mapping

from attrs import field, frozen

from unstract_worker_core.config.parsers import Parser, secret, signing_secret
from unstract_worker_core.config.urls import redis_url
from unstract_worker_core.statuses import WorkerType

__all__ = ["Declaration", "Section"]


@frozen
class Declaration:
    """The variables of one field, `target`.

    Attributes:
        names: the first that is set wins; may contain ``{TYPE}`` (worker type) and ``{PREFIX}`` (section).
        development: default in development, where it differs.
        per_worker: defaults by worker type, where they differ.
        shown: the default as the table prints it, where it is computed.
    """

    target: str
    names: tuple[str, ...]
    parse: Parser
    purpose: str
    shown: str = ""
    development: object = None
    per_worker: Mapping[WorkerType, object] = field(factory=dict)

    @property
    def secret(self) -> bool:
        """Whether the value is kept out of sight and may come from a file (``X_FILE``)."""
        return self.parse in (secret, signing_secret, redis_url)


@frozen
class Section:
    """The declarations of one class of settings, under one or more prefixes."""

    cls: type
    declarations: tuple[Declaration, ...]
    prefixes: tuple[str, ...] = ("",)

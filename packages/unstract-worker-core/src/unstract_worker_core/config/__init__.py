"""Settings of a worker: read once from the environment, checked as a whole, then plain frozen values."""

from unstract_worker_core.config.declarations import read_dotenv
from unstract_worker_core.config.environment import load_settings
from unstract_worker_core.config.parsers import Secret, StoreSettings
from unstract_worker_core.config.sections import (
    BackendSettings,
    BrokerSettings,
    ChordSettings,
    ExecutorSettings,
    FileSettings,
    LedgerSettings,
    LoggingSettings,
    ProcessSettings,
    RedisSettings,
    TracingSettings,
    TrafficSettings,
    WebhookSettings,
)
from unstract_worker_core.config.settings import Settings

__all__ = [
    "BackendSettings",
    "BrokerSettings",
    "ChordSettings",
    "ExecutorSettings",
    "FileSettings",
    "LedgerSettings",
    "LoggingSettings",
    "ProcessSettings",
    "RedisSettings",
    "Secret",
    "Settings",
    "StoreSettings",
    "TracingSettings",
    "TrafficSettings",
    "WebhookSettings",
    "load_settings",
    "read_dotenv",
]

"""Settings of a worker: read once from the environment, checked as a whole, then plain frozen values."""

from unstract_worker_core.config.declarations import read_dotenv
from unstract_worker_core.config.environment import load_settings
from unstract_worker_core.config.obsolete import ACCEPTED_WITHOUT_EFFECT
from unstract_worker_core.config.parsers import Secret, StoreSettings
from unstract_worker_core.config.reference import Variable, describe_variables, environment_page
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
    "ACCEPTED_WITHOUT_EFFECT",
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
    "Variable",
    "WebhookSettings",
    "describe_variables",
    "environment_page",
    "load_settings",
    "read_dotenv",
]

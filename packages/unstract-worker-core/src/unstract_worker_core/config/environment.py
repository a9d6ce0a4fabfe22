"""The one place where an environment becomes settings: read, checked as a whole, all faults reported together."""

import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path

from attrs import evolve

from unstract_worker_core.config import sections
from unstract_worker_core.config.declarations import Reader
from unstract_worker_core.config.obsolete import obsolete_warnings
from unstract_worker_core.config.parsers import Secret
from unstract_worker_core.config.settings import Settings
from unstract_worker_core.config.unknown import unknown_warnings
from unstract_worker_core.config.urls import (
    BrokerSource,
    ChordSource,
    broker_settings,
    result_backend_url,
)
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.statuses import WorkerType

_WELL_KNOWN = frozenset({"admin", "changeme", "default", "guest", "password", "redis", "secret"})


def load_settings(environ: Mapping[str, str], *, worker: WorkerType, development: bool = False) -> Settings:
    """Settings of a worker. Raises ConfigurationError with every fault, by variable, without values."""
    reader = Reader(environ, worker, development)
    backend, broker = reader.section(sections.BackendSettings), _broker(reader)
    platform, own = reader.section(sections.RedisSettings, "REDIS_"), reader.values(Settings)
    values: dict[str, object] = {
        "platform_redis": platform,
        "cache_redis": reader.section(sections.RedisSettings, "CACHE_REDIS_", fallback=platform),
        "ledger_redis": platform,
        "ledger": reader.section(sections.LedgerSettings),
        "process": reader.section(sections.ProcessSettings),
        "logging": reader.section(sections.LoggingSettings),
        "files": reader.section(sections.FileSettings),
        "webhook": reader.section(sections.WebhookSettings),
        "tracing": reader.section(sections.TracingSettings),
        "traffic": reader.section(sections.TrafficSettings),
        "executor": _executor(reader),
        "chord": _chord(reader),
        "version": _version(worker),
        "instance": socket.gethostname(),
    }
    settings = Settings(
        worker=worker,
        backend=backend,
        broker=broker,
        development=development,
        **(values | own),  # type: ignore[arg-type]
    )
    settings = _with_derived_times(reader, settings)
    _check_together(reader, settings)
    if reader.faults:
        raise ConfigurationError(tuple(reader.faults))
    warnings = _warnings(reader, settings)
    if not (settings.crash_testing or settings.development):
        settings = evolve(settings, crash_point=None)
    return evolve(settings, warnings=warnings)


def _broker(reader: Reader) -> sections.BrokerSettings:
    source = reader.section(BrokerSource)
    if source.base_url:
        try:
            return broker_settings(source)
        except ValueError as error:
            reader.fault("CELERY_BROKER_BASE_URL", str(error))
    return sections.BrokerSettings(Secret(""))


def _chord(reader: Reader) -> sections.ChordSettings:
    # Other programs use DB_* too: read, and checked, only where chords are served.
    if not reader.is_set("CHORD_COMPAT"):
        return sections.ChordSettings()
    source = reader.section(ChordSource)
    if not source.enabled:
        return sections.ChordSettings(retry_interval=source.retry_interval)
    kept_in = source.result_backend.reveal() if source.result_backend else "db+postgresql"
    if kept_in.startswith("db+"):
        # Without it tasks run and their results are not stored: chords would wait for ever.
        missing = [name for name in ("sqlalchemy", "psycopg2") if find_spec(name) is None]
        if missing:
            extra = f"{reader.worker.distribution}[chord]"
            reader.fault("CHORD_COMPAT", f"needs the extra [chord] ({' and '.join(missing)}): pip install '{extra}'")
            return sections.ChordSettings()
    backend = None
    try:
        backend = result_backend_url(source)
    except ValueError as error:
        variables = ("CELERY_RESULT_BACKEND", "CELERY_RESULT_BACKEND_FILE", "CELERY_BACKEND_DB_HOST", "DB_HOST")
        reader.fault(next(name for name in variables if reader.is_set(name)), str(error))
    else:
        if backend is None:
            reader.fault("CHORD_COMPAT", "needs CELERY_BACKEND_DB_HOST, _NAME, _USER and _PASSWORD")
    return sections.ChordSettings(source.enabled, backend, source.retry_interval)


def _executor(reader: Reader) -> sections.ExecutorSettings:
    # The platform's file sets these for all its workers: a fault in them must not prevent the others from starting.
    if reader.worker is not WorkerType.FILE_PROCESSING or not reader.is_set("WORKER_FILE_EXECUTOR"):
        return sections.ExecutorSettings()
    return reader.section(sections.ExecutorSettings)


def _version(worker: WorkerType) -> str:
    try:
        return installed_version(worker.distribution)
    except PackageNotFoundError:
        return "0"


def _with_derived_times(reader: Reader, settings: Settings) -> Settings:
    """Times that follow from others, unless the operator sets them."""
    ledger, process, backend = settings.ledger, settings.process, settings.backend
    if not reader.is_set("WORKER_RECHECK_SECONDS"):
        ledger = evolve(ledger, recheck_seconds=ledger.lease_seconds + backend.total_timeout)
    if not reader.is_set("WORKER_STUCK_SLOT_SECONDS"):
        longest = backend.file_execution_timeout + backend.total_timeout + ledger.lease_seconds
        process = evolve(process, stuck_slot_seconds=longest)
    return evolve(settings, ledger=ledger, process=process)


def _check_together(reader: Reader, settings: Settings) -> None:
    """Faults that no single variable shows."""
    backend, ledger, process = settings.backend, settings.ledger, settings.process
    if backend.api_key.reveal() == sections.DEVELOPMENT_KEY and not settings.development:
        reader.fault("INTERNAL_SERVICE_API_KEY", "is the development key; set the key of your backend")
    if backend.total_timeout < backend.timeout:
        reader.fault("INTERNAL_API_TOTAL_TIMEOUT", "must be at least INTERNAL_API_TIMEOUT")
    if ledger.sweep_seconds >= ledger.lease_seconds:
        reader.fault("WORKER_SWEEP_SECONDS", "must be shorter than WORKER_LEASE_SECONDS")
    if ledger.max_ring_wait < ledger.first_ring_wait:
        reader.fault("WORKER_MAX_RING_WAIT", "must be at least WORKER_FIRST_RING_WAIT")
    if process.soft_time_limit >= process.time_limit:
        reader.fault("CELERY_TASK_SOFT_TIME_LIMIT", "must be shorter than the TASK_TIME_LIMIT of this worker")
    if settings.rescue_unseen_after is not None and settings.traffic.percent < 100:
        reader.fault("RESCUE_UNSEEN_AFTER", "is refused while WORKER_TRAFFIC_PERCENT is below 100")
    if settings.files.api_dir_prefix and "/api" not in settings.files.api_dir_prefix:
        reader.fault("API_EXECUTION_DIR_PREFIX", "must contain /api: the platform recognises API files by it")
    _check_traffic(reader, settings)
    _check_executor(reader, settings)
    _check_files(reader, settings)
    for variable, role in _redis_roles(settings):
        _check_redis(reader, variable, role)


def _check_traffic(reader: Reader, settings: Settings) -> None:
    suffix = settings.traffic.forward_suffix
    if settings.traffic.whole:
        return
    if not suffix:
        reader.fault("WORKER_TRAFFIC_FORWARD_SUFFIX", "is needed while the share is below 100: where the rest goes")
    elif any(name.endswith(suffix) for name in settings.process.queues):
        variable = f"CELERY_QUEUES_{settings.worker.value.upper()}"
        reader.fault(variable, "names a queue of WORKER_TRAFFIC_FORWARD_SUFFIX: that one is for today's workers")


def _check_executor(reader: Reader, settings: Settings) -> None:
    executor = settings.executor
    if settings.worker is not WorkerType.FILE_PROCESSING or settings.files.executor != sections.PLATFORM_EXECUTOR:
        return
    needed = (
        ("PLATFORM_SERVICE_HOST", executor.service_host),
        ("WORKFLOW_EXECUTION_DIR_PREFIX", executor.files_prefix),
        ("WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS", executor.files_store),
        ("API_FILE_STORAGE_CREDENTIALS", executor.uploads_store),
    )
    reported = {fault.variable.removesuffix("_FILE") for fault in reader.faults}
    for variable, value in needed:
        if value is None and variable not in reported:
            reader.fault(variable, "is required by WORKER_FILE_EXECUTOR=platform")


def _check_files(reader: Reader, settings: Settings) -> None:
    named = (
        ("CELERY_BROKER_SSL_CA_CERTS", settings.broker.ca_file),
        ("CELERY_BROKER_SSL_CERTFILE", settings.broker.cert_file),
        ("CELERY_BROKER_SSL_KEYFILE", settings.broker.key_file),
        ("INTERNAL_API_CA_FILE", settings.backend.ca_file),
        ("WEBHOOK_CA_FILE", settings.webhook.ca_file),
    )
    for variable, file in named:
        if file and not Path(file).is_file():
            reader.fault(variable, "names no file")


def _redis_roles(settings: Settings) -> tuple[tuple[str, sections.RedisSettings], ...]:
    roles = [("REDIS_", settings.platform_redis)]
    if settings.cache_redis != settings.platform_redis:
        roles.append(("CACHE_REDIS_", settings.cache_redis))
    if settings.ledger_redis != settings.platform_redis:
        roles.append(("WORKER_LEDGER_REDIS_URL", settings.ledger_redis))
    return tuple(roles)


def _check_redis(reader: Reader, variable: str, role: sections.RedisSettings) -> None:
    def named(part: str) -> str:
        return variable + part if variable.endswith("_") else variable

    if role.password and role.password.reveal().lower() in _WELL_KNOWN and not reader.development:
        reader.fault(named("PASSWORD"), "is a well-known default; set a password of your own")
    files = {"SSL_CA_CERTS": role.ssl_ca_file, "SSL_CERTFILE": role.ssl_cert_file, "SSL_KEYFILE": role.ssl_key_file}
    for part, file in files.items():
        if file and not Path(file).is_file():
            reader.fault(named(part), "names no file")
    if not role.sentinel and "," in role.host:
        reader.fault(named("HOST"), f"must be one host unless {named('SENTINEL_MODE')} is on")
        return
    try:
        _ = role.nodes
    except ValueError:
        wanted = "a comma list of sentinels such as s1:26379,[2001:db8::1]:26379" if role.sentinel else "a single host"
        reader.fault(named("HOST"), f"must be {wanted}")


def _warnings(reader: Reader, settings: Settings) -> tuple[str, ...]:
    found = [*obsolete_warnings(reader.environ, settings.worker), *unknown_warnings(reader.environ)]
    named = reader.environ.get("WORKER_TYPE", "").strip().replace("-", "_").lower()
    if named and named != settings.worker.value:
        found.append(f"WORKER_TYPE has no effect: this is {settings.worker.distribution}")
    if reader.is_set("CELERY_RESULT_BACKEND") and not settings.chord.enabled:
        found.append("CELERY_RESULT_BACKEND has no effect: results are kept only with CHORD_COMPAT")
    if settings.crash_point is not None:
        works = settings.crash_testing or settings.development
        effect = "ends this process on purpose" if works else "has no effect outside of tests"
        found.append(f"WORKER_CRASH_POINT {effect}")
    for variable, role in _redis_roles(settings):
        if role.ssl and role.ssl_cert_reqs != "required":
            found.append(f"{variable}: the certificate of this Redis is not fully checked")
    if settings.backend.api_key.reveal() == sections.DEVELOPMENT_KEY:
        found.append("INTERNAL_SERVICE_API_KEY is the development key")
    return tuple(found)

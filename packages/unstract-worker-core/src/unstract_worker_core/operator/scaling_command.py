"""`scaling`: this worker's scaling rule as manifests, or as data."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import click
from attrs import asdict, evolve

from unstract_worker_core.config import BrokerSettings, ProcessSettings
from unstract_worker_core.config import parsers as p
from unstract_worker_core.config.declarations import Reader
from unstract_worker_core.config.urls import BrokerSource, broker_settings
from unstract_worker_core.operator.scaling import (
    Source,
    Target,
    at_broker,
    hpa_manifests,
    keda_manifests,
    secret_keys,
    target_of,
)
from unstract_worker_core.queues import queues_of
from unstract_worker_core.worker.definition import WorkerDefinition

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def yaml_of(documents: Iterable[dict[str, Any]]) -> str:
    """The documents, with ``---`` between them."""
    return "\n---\n".join("\n".join(_lines(document, "")) for document in documents)


def _lines(value: dict[str, Any] | list[Any], indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            name = key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _NOT_TEXT else json.dumps(key)
            if isinstance(item, dict | list) and item:
                yield f"{indent}{name}:"
                yield from _lines(item, indent + "  ")
            else:
                yield f"{indent}{name}: {json.dumps(item)}"
        return
    for item in value:
        if isinstance(item, dict | list) and item:
            first, *others = _lines(item, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from others
        else:
            yield f"{indent}- {json.dumps(item)}"


def scaling(definition: WorkerDefinition) -> click.Command:
    """The command. It needs no environment; of a broker that is set, only host, port and database are used."""

    @click.command(help="Print how this worker's Deployment is scaled, by the broker of CELERY_BROKER_BASE_URL.")
    @click.option("--format", "form", type=click.Choice(["keda", "hpa", "json"]), default="json", show_default=True)
    @click.option(
        "--broker", type=click.Choice([source.value for source in Source]),
        help="Where KEDA reads what waits.  [default: the configured broker, else redis]",
    )  # fmt: skip
    @click.option("--prometheus", help="Root URL of Prometheus: KEDA then sees what runs, too.")
    @click.option("--redis", help="HOST:PORT of a broker on Redis; default: the one of CELERY_BROKER_BASE_URL.")
    @click.option("--redis-database", type=click.IntRange(0, 65535), help="Its database.")
    @click.option("--queues", help="Comma list that replaces the platform's queues, as CELERY_QUEUES_{TYPE} does.")
    @click.option("--drain", type=click.FloatRange(0), help="WORKER_DRAIN_SECONDS of the fleet.  [default: 45]")
    @click.option("--namespace", default="unstract-workers", show_default=True)
    @click.option("--deployment", help="The Deployment's name.  [default: the worker's]")
    @click.option("--secret", default="unstract-workers-scaling", show_default=True, help="Secret for KEDA.")
    def command(
        *, form: str, broker: str | None, prometheus: str | None, redis: str | None, redis_database: int | None,
        queues: str | None, drain: float | None, namespace: str, deployment: str | None, secret: str,
    ) -> None:  # fmt: skip
        if broker == Source.PROMETHEUS and not prometheus:
            raise click.UsageError("--broker prometheus needs --prometheus URL")
        source = Source(broker) if broker else None
        try:
            root = prometheus and p.any_http_url(prometheus)
            target = evolve(_target(definition, queues, drain), prometheus=root, namespace=namespace, secret=secret)
            target = evolve(target, deployment=deployment or target.deployment)
            target = at_broker(target, _configured(definition), source, redis, redis_database)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        click.echo(_printed(target, form))

    return command


def _configured(definition: WorkerDefinition) -> BrokerSettings | None:
    """The broker of the environment; None where none is set. Raises ValueError for one that a worker would refuse."""
    reader = Reader(os.environ, definition.worker, development=False)
    if not reader.is_set("CELERY_BROKER_BASE_URL", "CELERY_BROKER_BASE_URL_FILE"):
        return None
    source = reader.section(BrokerSource)
    if reader.faults:
        raise ValueError("; ".join(f"{fault.variable}: {fault.problem}" for fault in reader.faults))
    try:
        return broker_settings(source)
    except ValueError as error:
        raise ValueError(f"CELERY_BROKER_BASE_URL: {error}") from None


def _target(definition: WorkerDefinition, queues: str | None, drain: float | None) -> Target:
    own = queues_of(definition.worker)
    named = p.names(queues) if queues else own.platform
    seconds = ProcessSettings().drain_seconds if drain is None else drain
    return target_of(definition.worker, queues=(*named, *own.doorbell_queues), drain_seconds=seconds)


def _printed(target: Target, form: str) -> str:
    if form == "json":
        return json.dumps(asdict(target))
    notes = [f"The Deployment's terminationGracePeriodSeconds: above {target.grace_seconds}, or running work is killed"]
    if form == "keda" and target.prometheus is None:
        notes.append("Without --prometheus running work is not counted: a fleet with empty queues shrinks, and drains")
    if form == "keda" and target.source is not Source.PROMETHEUS:
        notes.append(f"The Secret {target.secret} must have the keys {', '.join(secret_keys(target).values())}")
    if form == "keda" and target.source is Source.RABBITMQ and target.tls:
        notes.append(
            "rabbitmq-url must be an amqps:// URL" + ("; rabbitmq-tls: enable" if target.own_authority else "")
        )
    manifests = keda_manifests(target) if form == "keda" else hpa_manifests(target)
    return "\n".join((*(f"# {line}" for line in notes), yaml_of(manifests)))

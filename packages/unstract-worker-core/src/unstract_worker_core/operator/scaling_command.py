"""`scaling`: this worker's scaling rule as manifests, or as data."""

import json
import os
from contextlib import suppress
from urllib.parse import urlsplit

import click
from attrs import asdict, evolve

from unstract_worker_core.config import ProcessSettings
from unstract_worker_core.operator.scaling.hpa import hpa_manifests
from unstract_worker_core.operator.scaling.keda import keda_manifests
from unstract_worker_core.operator.scaling.target import Source, Target, target_of
from unstract_worker_core.operator.scaling.yaml_text import yaml_of
from unstract_worker_core.queues import queues_of
from unstract_worker_core.worker.definition import WorkerDefinition

__all__ = ["scaling"]


def scaling(definition: WorkerDefinition) -> click.Command:
    """The command. It needs no environment; of a broker that is set, only host, port and database are used."""

    @click.command(help="Print how this worker's Deployment is scaled.")
    @click.option("--format", "form", type=click.Choice(["keda", "hpa", "json"]), default="json", show_default=True)
    @click.option(
        "--broker", type=click.Choice([source.value for source in Source]), default="redis", show_default=True,
        help="Where KEDA reads what waits.",
    )  # fmt: skip
    @click.option("--prometheus", help="Root URL of Prometheus: KEDA then sees what runs, too.")
    @click.option("--redis", help="HOST:PORT of a broker on Redis; default: the one of CELERY_BROKER_BASE_URL.")
    @click.option("--redis-database", type=click.IntRange(0), help="Its database.")
    @click.option("--queues", help="Comma list that replaces the platform's queues, as CELERY_QUEUES_{TYPE} does.")
    @click.option("--drain", type=click.FloatRange(0), help="WORKER_DRAIN_SECONDS of the fleet.  [default: 45]")
    @click.option("--namespace", default="unstract-workers", show_default=True)
    @click.option("--deployment", help="The Deployment's name.  [default: the worker's]")
    @click.option("--secret", default="unstract-workers-scaling", show_default=True, help="What KEDA logs in with.")
    def command(
        *, form: str, broker: str, prometheus: str | None, redis: str | None, redis_database: int | None,
        queues: str | None, drain: float | None, namespace: str, deployment: str | None, secret: str,
    ) -> None:  # fmt: skip
        if broker == Source.PROMETHEUS and not prometheus:
            raise click.UsageError("--broker prometheus needs --prometheus URL")
        host, database = _redis_of_environment()
        target = _target(definition, queues, drain)
        target = evolve(
            target, source=Source(broker), prometheus=prometheus, redis=redis or host or target.redis,
            redis_database=database if redis_database is None else redis_database, namespace=namespace,
            deployment=deployment or target.deployment, secret=secret,
        )  # fmt: skip
        click.echo(_printed(target, form))

    return command


def _target(definition: WorkerDefinition, queues: str | None, drain: float | None) -> Target:
    own = queues_of(definition.worker)
    named = tuple(name.strip() for name in (queues or "").split(",") if name.strip()) or own.platform
    seconds = ProcessSettings().drain_seconds if drain is None else drain
    return target_of(definition.worker, queues=(*named, *own.doorbell_queues), drain_seconds=seconds)


def _printed(target: Target, form: str) -> str:
    if form == "json":
        return json.dumps(asdict(target))
    grace = f"# The Deployment's terminationGracePeriodSeconds: above {target.grace_seconds}, or running work is killed"
    blind = "\n# Without --prometheus running work is not seen: a fleet whose queues are empty shrinks, and drains"
    manifests = keda_manifests(target) if form == "keda" else hpa_manifests(target)
    told = grace + (blind if form == "keda" and target.prometheus is None else "")
    return f"{told}\n{yaml_of(manifests)}"


def _redis_of_environment() -> tuple[str, int]:
    """Host, port and database of a broker on Redis, never what it is logged in with; empty where there is none."""
    with suppress(ValueError):
        url = urlsplit(os.environ.get("CELERY_BROKER_BASE_URL", "").split(";")[0])
        if url.scheme in ("redis", "rediss") and url.hostname:
            database = url.path.strip("/")
            return f"{url.hostname}:{url.port or 6379}", int(database) if database.isdigit() else 0
    return "", 0

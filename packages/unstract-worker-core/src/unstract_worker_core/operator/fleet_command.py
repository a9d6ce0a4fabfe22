"""`fleet [--watch] [--json]`: the workers that are alive, and those that vanished within five minutes."""

import json
import sys
from typing import Any

import click
from attrs import asdict

from unstract_worker_core.fleet import FleetMember
from unstract_worker_core.operator.console import duration, open_ledger, print_again, table
from unstract_worker_core.worker.definition import WorkerDefinition

_COLUMNS = (
    "worker", "instance", "state", "version", "core", "host:pid", "running", "last progress", "backend", "queues",
)  # fmt: skip


def fleet(definition: WorkerDefinition) -> click.Command:
    """The command. It needs the broker's and the ledger's variables, no backend key."""

    @click.command(help="List the live workers of all types, and those that vanished within five minutes.")
    @click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
    @click.option("--interval", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object per refresh on stdout.")
    def command(*, watch: bool, interval: float, as_json: bool) -> None:
        with open_ledger(definition) as access:
            print_again(lambda: _shown(access.fleet.members(), as_json=as_json), watch=watch, interval=interval)

    return command


def _shown(members: tuple[FleetMember, ...], *, as_json: bool) -> str:
    return json.dumps({"workers": [_facts(one) for one in members]}) if as_json else _table(members)


def _facts(member: FleetMember) -> dict[str, Any]:
    return {**asdict(member.heartbeat), "alive": member.alive, "age_seconds": round(member.age_seconds, 1)}


def _table(members: tuple[FleetMember, ...]) -> str:
    if not members:
        return "no worker has written a heartbeat within five minutes: is this the ledger's Redis of the fleet?"
    shown = table(_COLUMNS, (_row(member) for member in members), terminal=sys.stdout.isatty())
    alive = sum(member.alive for member in members)
    silent = [f"{member.heartbeat.instance}: {call}" for member in members for call in member.heartbeat.silent_calls]
    return "\n".join((shown, f"{alive} alive, {len(members) - alive} vanished", *silent))


def _row(member: FleetMember) -> tuple[str, ...]:
    beat = member.heartbeat
    return (
        beat.worker,
        beat.instance,
        "alive" if member.alive else f"vanished {duration(member.age_seconds)} ago",
        beat.version,
        beat.core_version,
        f"{beat.hostname}:{beat.pid}",
        f"{beat.running}/{beat.slots}",
        f"{duration(beat.idle_seconds)} ago",
        "answers" if beat.backend == "closed" else f"breaker {beat.backend}",
        ", ".join(beat.queues),
    )

"""celery.chord on Redis: with batches that do nothing, and as an execution of one file that makes recorded calls."""

import json
import os
from functools import cache

from celery import Celery, chord
from redis import Redis

from unstract_bench.baselines.calls import Request, make

REDIS = os.environ["BENCH_REDIS"]
app = Celery("chords", broker=REDIS, backend=REDIS)
app.conf.update(task_default_queue="bench_chord", broker_connection_retry_on_startup=True, result_expires=600)


@app.task(name="bench.noop")
def noop(number: int) -> int:
    """Do nothing."""
    return number


@app.task(name="bench.joined")
def joined(results: list[int], run: str) -> None:
    """The fan-in: every batch's result is here."""
    with Redis.from_url(REDIS) as client:
        client.rpush(f"bench:done:{run}", len(results))


def fan_out(run: str, batches: int) -> None:
    """Dispatch a chord of so many batches."""
    chord([noop.s(number) for number in range(batches)])(joined.s(run))


@app.task(name="bench.start", ignore_result=True)
def start(root: str, execution: str) -> None:
    """Make the calls of an orchestrator; then send a chord with one header."""
    _make("orchestrator", root, execution)
    header = file.s(root, execution).set(queue="bench_files")
    chord([header])(end.s(root, execution).set(queue="bench_end"))


@app.task(name="bench.file")
def file(root: str, execution: str) -> str:
    """Make the calls of the file-processing worker."""
    _make("file-processing", root, execution)
    return execution


@app.task(name="bench.end", ignore_result=True)
def end(_results: list[str], root: str, execution: str) -> None:
    """Make the calls of the callback worker, the terminal status last."""
    _make("callback", root, execution)


def _make(role: str, root: str, execution: str) -> None:
    """Make the recorded calls of a role for another execution. The clean-up may be refused, as for the workers."""
    calls = [[part.replace("EXECUTION_ID", execution) for part in call] for call in _recorded()[role]]
    make(root, (Request(method, path, body.encode()) for method, path, body in calls), refused=(405,))


@cache
def _recorded() -> dict[str, list[list[str]]]:
    """Method, path and body of each call, by role, as the harness recorded them from the workers."""
    with Redis.from_url(REDIS) as client:
        recorded: dict[str, list[list[str]]] = json.loads(client.get("bench:calls") or "{}")
        return recorded

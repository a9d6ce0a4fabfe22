"""celery.chord on Redis with batches that do nothing; the callback says so in Redis."""

import os

from celery import Celery, chord
from redis import Redis

app = Celery("chords", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
app.conf.update(
    task_default_queue="bench_chord",
    broker_connection_retry_on_startup=True,
    result_expires=600,
)


@app.task(name="bench.noop")
def noop(number: int) -> int:
    """Do nothing."""
    return number


@app.task(name="bench.joined")
def joined(results: list[int], run: str) -> None:
    """The fan-in: every batch's result is here."""
    with Redis.from_url(os.environ["BENCH_REDIS"]) as client:
        client.rpush(f"bench:done:{run}", len(results))


def fan_out(run: str, batches: int) -> None:
    """Dispatch a chord of so many batches."""
    chord([noop.s(number) for number in range(batches)])(joined.s(run))

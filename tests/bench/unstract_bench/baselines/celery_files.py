"""Bare Celery: one task, JSON, no results. Started by Celery's own command: `celery -A this worker -P threads`."""

import os

from celery import Celery

from unstract_bench.baselines.calls import process

app = Celery("bare", broker=os.environ["BENCH_REDIS"])
app.conf.update(
    task_ignore_result=True,
    task_default_queue=os.environ["BENCH_QUEUE"],
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
batch = app.task(name="bench.batch")(process)

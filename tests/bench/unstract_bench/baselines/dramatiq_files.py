"""dramatiq: `dramatiq this --processes 1 --threads 100`."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from unstract_bench.baselines.calls import process

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_REDIS"]))
batch = dramatiq.actor(process, queue_name="bench_dramatiq", max_retries=0)

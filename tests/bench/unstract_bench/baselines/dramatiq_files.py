"""dramatiq: `dramatiq this --processes 1 --threads 100`."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from unstract_bench.baselines.libraries import LIBRARIES
from unstract_bench.baselines.sync_files import process

__all__ = ["LIBRARIES", "batch"]

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_REDIS"]))


@dramatiq.actor(queue_name="bench_dramatiq", max_retries=0)
def batch(root: str, files: list[int]) -> None:
    """Process a batch."""
    process(root, files)

"""taskiq with aiohttp: `taskiq worker this:broker --workers 1 --max-async-tasks 100`."""

import os

import aiohttp
from taskiq_redis import ListQueueBroker

from unstract_bench.baselines.calls import HEADERS, requests_of

broker = ListQueueBroker(os.environ["BENCH_REDIS"], queue_name="bench_taskiq")
_sessions: list[aiohttp.ClientSession] = []


@broker.task(task_name="bench.batch")
async def batch(root: str, files: list[int]) -> None:
    """Process a batch."""
    if not _sessions:
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=HEADERS))
    for file in files:
        for each in requests_of(file):
            async with _sessions[0].request(each.method, f"{root}/{each.path}", data=each.content) as response:
                response.raise_for_status()
                await response.json()

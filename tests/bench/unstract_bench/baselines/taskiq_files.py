"""taskiq with aiohttp: `taskiq worker this:broker --workers 1 --max-async-tasks 100`."""

import os

import aiohttp
from taskiq_redis import ListQueueBroker

from unstract_bench.baselines.calls import calls_of

broker = ListQueueBroker(os.environ["BENCH_REDIS"], queue_name="bench_taskiq")
_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer bench"}
_sessions: list[aiohttp.ClientSession] = []


@broker.task(task_name="bench.batch")
async def batch(root: str, files: list[int]) -> None:
    """Process a batch."""
    if not _sessions:
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=_HEADERS))
    for file in files:
        for asked in calls_of(file):
            async with _sessions[0].request(asked.method, f"{root}/{asked.path}", data=asked.content) as answer:
                answer.raise_for_status()
                await answer.json()

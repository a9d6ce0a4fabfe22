"""Threads that are few and shared: synchronous callers hold them, and the internal API waits."""

import threading

import httpx
import pytest

HEALTH = "/internal/v1/health/"


def test_waiting_callers_hold_the_threads_of_the_internal_api(start, until):
    stack = start(shared_threads=4)
    workflow_id, _, path = stack.api()
    answers = []

    def call() -> None:
        answers.append(stack.upload(path, {"a.txt": b"x"}, timeout="60"))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    keys = until(lambda: len(found := stack.redis.keys(f"execution:{workflow_id}:*")) == 4 and found)
    assert len(until(lambda: len(sent := stack.sent("celery_api_deployments")) == 4 and sent)) == 4
    with pytest.raises(httpx.ReadTimeout):
        stack.client.get(HEALTH, timeout=httpx.Timeout(20, read=0.3))
    assert len(stack.get("/dev/executions", organization_id="acme")) == 4
    for key in keys:
        stack.redis.hset(key, "status", "COMPLETED")
    assert stack.client.get(HEALTH).status_code == 200
    for caller in callers:
        caller.join(20)
    assert [answer.json()["message"]["execution_status"] for answer in answers] == ["COMPLETED"] * 4

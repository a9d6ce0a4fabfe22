"""A share with a real broker: what is not ours reaches the other queue as it was sent, and nothing is lost or doubled."""

import base64
import json
from uuid import UUID, uuid5

import pytest

from unstract_devstack.processes import wait_until
from unstract_worker_core.config.sections import TrafficSettings
from unstract_worker_core.ledger import RunState

QUEUE, OTHER = "file_processing_callback", "file_processing_callback_today"
TASK = "process_batch_callback"
ORG = "org_8QpLr2"


def execution(number: int) -> str:
    return str(uuid5(UUID(int=9), str(number)))


def body_for(number: int, organization: str = ORG) -> list:
    return [[[]], {"execution_id": execution(number), "organization_id": organization, "name": str(number)}, {}]


def read(raw: str) -> list:
    """Arguments of a message on a queue."""
    message = json.loads(raw)
    text = message["body"]
    if message["properties"].get("body_encoding") == "base64":
        text = base64.b64decode(text).decode()
    return json.loads(text)


def share(percent: int, **more: str) -> dict[str, str]:
    return {"WORKER_TRAFFIC_PERCENT": str(percent), "WORKER_TRAFFIC_FORWARD_SUFFIX": "_today", **more}


@pytest.mark.parametrize("percent", [0, 1, 50])
def test_a_share_holds_and_nothing_is_lost_or_doubled(start_worker, send, redis, percent):
    number = 400
    worker = start_worker(**share(percent))
    for each in range(number):
        send(TASK, QUEUE, body_for(each))
    assert wait_until(lambda: redis.llen(OTHER) + redis.llen("ended") >= number, seconds=60)

    theirs = {read(raw)[1]["execution_id"] for raw in redis.lrange(OTHER, 0, -1)}
    ours = {execution(int(name)) for name in redis.lrange("ended", 0, -1)}
    takes = TrafficSettings(percent=percent).takes
    assert ours == {execution(each) for each in range(number) if takes(ORG, execution(each))}
    assert theirs == {execution(each) for each in range(number)} - ours
    assert redis.llen(OTHER) + redis.llen("ended") == number
    assert wait_until(lambda: redis.hlen("uw_unacked") == 0, seconds=5)
    shown = worker.metrics()
    assert f'unstract_worker_traffic_total{{name="{TASK}",outcome="forwarded"}} {float(len(theirs))}' in shown


def test_a_message_is_handed_on_as_it_was_sent(start_worker, send, envelope, redis):
    start_worker(**share(0))
    headers = {"x-fairness-key": {"org_id": ORG}, "group": "g1", "eta": "2099-01-01T00:00:00+00:00", "retries": 2}
    sent = envelope(TASK, QUEUE, body_for(1), headers)
    sent["properties"] |= {"reply_to": "r1", "priority": 3}
    redis.lpush(QUEUE, json.dumps(sent))
    # Celery keeps priorities of Redis in queues of their own.
    assert wait_until(lambda: redis.llen(f"{OTHER}\x06\x163") == 1, seconds=20)

    came = json.loads(redis.lindex(f"{OTHER}\x06\x163", 0))
    assert came["headers"] == sent["headers"]
    assert read(json.dumps(came)) == json.loads(sent["body"])
    assert (came["content-type"], came["content-encoding"]) == (sent["content-type"], sent["content-encoding"])
    for name in ("correlation_id", "reply_to", "priority", "delivery_mode"):
        assert came["properties"][name] == sent["properties"][name]


def test_organizations_are_taken_whole(start_worker, send, ended, redis):
    more = {"WORKER_TRAFFIC_ORGANIZATIONS": "org_mine", "WORKER_TRAFFIC_FORWARD_SUFFIX": "_today"}
    start_worker(**more)
    for each in range(20):
        send(TASK, QUEUE, body_for(each, "org_mine" if each % 2 else "org_other"))
    assert ended(*(str(each) for each in range(1, 20, 2)))
    assert wait_until(lambda: redis.llen(OTHER) == 10, seconds=10)
    assert redis.llen("ended") == 10


def test_what_was_handed_on_is_never_handed_on_again(start_worker, send, ended, redis):
    """Even where somebody lets us consume the other kind's queue after all."""
    start_worker("-m", "celery", "-A", "tiny_worker", "worker", "-Q", f"{OTHER},{QUEUE}", **share(0))
    send(TASK, QUEUE, body_for(1))
    assert ended("1")
    assert redis.llen(OTHER) == 0


def test_what_the_ledger_has_stays_ours_when_it_is_delivered_again(start_worker, send, ended, redis):
    """Accepted here, then the share was made smaller, then the broker delivered it again."""
    redis.hset(f"uw:{{{execution(1)}.callback}}:meta", "state", RunState.READY)
    start_worker(**share(0))
    send(TASK, QUEUE, body_for(1), headers={"redelivered": True})
    send(TASK, QUEUE, body_for(2), headers={"redelivered": True})
    assert ended("1")
    assert wait_until(lambda: redis.llen(OTHER) == 1, seconds=10)
    assert read(redis.lindex(OTHER, 0))[1]["name"] == "2"


def test_what_cannot_be_read_is_put_aside_here(start_worker, send, redis):
    start_worker(**share(0))
    send(TASK, QUEUE, [[[]], {"execution_id": "no uuid"}, {}])
    send("send_webhook_notification", QUEUE, [["https://x", {}], {}, {}])
    assert wait_until(lambda: redis.llen("uw:dead_letters") == 1, seconds=10)  # the tiny worker has no webhooks
    assert redis.llen(OTHER) == 0


def test_a_share_switched_under_load_loses_nothing(start_worker, send, redis):
    """One worker after the other, each with another share and ended while messages keep coming."""
    sent = 0

    def more(number: int) -> None:
        nonlocal sent
        for each in range(sent, sent + number):
            send(TASK, QUEUE, body_for(each))
        sent += number

    for percent in (0, 10, 60, 100):
        more(50)
        worker = start_worker(**share(percent))
        dealt = redis.llen(OTHER) + redis.llen("ended")
        more(100)
        assert wait_until(lambda dealt=dealt: redis.llen(OTHER) + redis.llen("ended") >= dealt + 20, seconds=30)
        if percent < 100:
            worker.terminate()
            more(50)
            assert worker.exit_code() == 0
    assert wait_until(lambda: redis.llen(OTHER) + redis.llen("ended") >= sent, seconds=60)

    theirs = [read(raw)[1]["name"] for raw in redis.lrange(OTHER, 0, -1)]
    assert sorted(map(int, [*theirs, *redis.lrange("ended", 0, -1)])) == list(range(sent))

"""Messages that can never be processed: dead-lettered once, acknowledged, and the next good one is served."""

import base64
import json
import pickle
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from unstract_devstack.processes import wait_until


@pytest.fixture(scope="module")
def touched(tmp_path_factory):
    return tmp_path_factory.mktemp("pickle") / "touched"


class Touch:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def bad_messages(path) -> dict[str, dict]:
    payload = pickle.dumps([[], {"name": "x", "value": Touch(str(path))}, {}])
    bomb = zlib.compress(json.dumps([[], {"name": " " * 1_000_000}, {}]).encode())
    in_base64 = {
        "delivery_info": {"exchange": "", "routing_key": "uw_callback"},
        "delivery_tag": "t",
        "body_encoding": "base64",
    }
    return {
        "unknown task": {"task": "tiny.unknown"},
        "pickle": {
            "content_type": "application/x-python-serialize",
            "content_encoding": "binary",
            "raw": encoded(payload),
            "properties": in_base64,
        },
        "yaml": {"content_type": "application/x-yaml", "raw": "a: 1"},
        "compressed": {"headers": {"compression": "application/x-gzip"}, "raw": encoded(bomb), "properties": in_base64},
        "claims compression": {"headers": {"compression": "zlib"}},
        "not json": {"raw": "{nope"},
        "deep": {"raw": "[" * 100_000 + "]" * 100_000},
        "a number": {"body": 5},
        "text": {"body": "text"},
        "args of the wrong shape": {"body": [{"a": 1}, [], {}]},
        "id missing": {"headers": {"id": None}},
        "id too long": {"headers": {"id": "x" * 10_000}},
        "id in two lines": {"headers": {"id": "a\nb"}},
        "task not text": {"headers": {"task": ["tiny.note"]}},
        "headers not an object": {"headers": []},
        "bad eta": {"headers": {"eta": "tomorrow"}},
        "bad expiry": {"headers": {"expires": "tomorrow"}},
        "bad time limit": {"headers": {"timelimit": 5}},
        "time limits of three": {"headers": {"timelimit": [1, 2, 3]}},
        "time limits in words": {"headers": {"timelimit": ["long", None]}},
        "eta after all time": {"headers": {"eta": "9999-12-31T23:59:59-23:00"}},
        "other encoding": {"content_encoding": "utf-16"},
    }


def test_each_bad_message_is_put_aside_once_and_good_ones_go_on(start_worker, send, ended, redis, touched):
    worker = start_worker()
    bad = bad_messages(touched)
    for name, change in bad.items():
        send(**{"task": "tiny.note", "body": [[], {"name": "bad"}, {}]} | change)
        send("tiny.note", body=[[], {"name": name}, {}])
    assert ended(*bad, seconds=30)
    assert wait_until(lambda: redis.llen("uw:dead_letters") >= len(bad), seconds=10)
    letters = [json.loads(raw) for raw in redis.lrange("uw:dead_letters", 0, -1)]
    assert len(letters) == len(bad), [letter["reason"] for letter in letters]
    assert "bad" not in redis.lrange("ended", 0, -1)
    assert not touched.exists()
    assert wait_until(lambda: redis.hlen("uw_unacked") == 0, seconds=5)
    assert worker.process.running
    assert all(letter["queue"] == "uw_callback" for letter in letters)


NO_ENVELOPES = (b"\xff\xfe", b"no json", b"[]", b"5", b"{}", b'{"properties": {}}', b"[" * 50_000)


def test_items_that_are_no_envelopes_cannot_stop_the_worker(start_worker, send, ended, redis):
    worker = start_worker()
    for number, raw in enumerate(NO_ENVELOPES):
        redis.lpush("uw_callback", raw)
        send("tiny.note", body=[[], {"name": f"good {number}"}, {}])
    assert ended(*(f"good {number}" for number in range(len(NO_ENVELOPES))))
    assert worker.process.running
    letters = redis.lrange("uw:dead_letters", 0, -1)
    assert len(letters) == len(NO_ENVELOPES)
    assert all(json.loads(letter)["reason"].startswith("not a message envelope") for letter in letters)


def test_a_message_of_protocol_one_is_served(start_worker, envelope, ended, redis):
    start_worker()
    body = {"task": "tiny.note", "id": "a1", "args": [], "kwargs": {"name": "old"}, "retries": 0}
    redis.lpush("uw_callback", json.dumps(envelope("", "uw_callback", body, {}) | {"headers": {}}))
    assert ended("old")


def test_secrets_of_a_bad_message_are_neither_kept_nor_logged(start_worker, send, ended, redis):
    worker = start_worker(LOG_LEVEL="DEBUG")
    send(
        "tiny.unknown", body=[[], {"headers": {"Authorization": "Bearer canary-1"}, "url": "http://u:canary-2@h/"}, {}]
    )
    send("tiny.note", body=[[], {"name": "good"}, {}])
    assert ended("good")
    assert wait_until(lambda: redis.llen("uw:dead_letters") == 1, seconds=5)
    assert "canary" not in redis.lindex("uw:dead_letters", 0)
    assert "canary" not in worker.log


def test_remote_control_is_closed(start_worker, send, ended, redis):
    worker = start_worker()
    for command in ("shutdown", "pool_restart", "revoke"):
        message = {"method": command, "arguments": {}, "destination": None}
        redis.publish("/0.celery.pidbox", json.dumps({"body": json.dumps(message), "content-type": "application/json"}))
    send("tiny.note", body=[[], {"name": "good"}, {}])
    assert ended("good")
    assert worker.process.running
    assert redis.pubsub_channels("*pidbox*") == []


def test_an_error_of_ours_is_not_blamed_on_a_message(start_worker, send, ended, redis):
    """What runs while a message is received fails a few times: the message comes back and is served."""
    worker = start_worker(TINY_FAILS_ON_RECEIPT="2")
    send("tiny.note", body=[[], {"name": "valid"}, {}])
    assert ended("valid", seconds=30)
    assert redis.llen("uw:dead_letters") == 0
    assert worker.log.count("was not taken because of an internal error") == 2
    assert wait_until(lambda: redis.hlen("uw_unacked") == 0, seconds=5)


def past(seconds=60):
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def test_a_message_that_expired_is_a_dead_letter(start_worker, send, ended, redis):
    worker = start_worker()
    send("tiny.note", body=[[], {"name": "late"}, {}], headers={"expires": past(), "id": "start-1"})
    send("tiny.note", body=[[], {"name": "good"}, {}])
    assert ended("good")
    assert wait_until(lambda: redis.llen("uw:dead_letters") == 1, seconds=5)
    letter = json.loads(redis.lindex("uw:dead_letters", 0))
    assert (letter["task"], letter["task_id"], letter["queue"]) == ("tiny.note", "start-1", "uw_callback")
    assert letter["reason"].startswith("it expired at ")
    assert json.loads(letter["body"])[1] == {"name": "late"}
    assert wait_until(lambda: redis.hlen("uw_unacked") == 0, seconds=5)
    # Sent again by an operator, under the same id: it is run, by the same process too.
    send("tiny.note", body=[[], {"name": "again"}, {}], headers={"id": "start-1"})
    assert ended("again")
    rejected = [line for line in worker.metrics().splitlines() if line.startswith("celery_task_rejected_total{")]
    assert [line.split()[-1] for line in rejected if "tiny.note" in line] == ["1.0"]


def test_an_expired_message_is_not_acknowledged_before_it_is_kept(start_worker, send, redis):
    worker = start_worker()
    redis.execute_command("ACL", "SETUSER", "default", "-ltrim")  # keeping a letter needs it, nothing else here does
    try:
        send("tiny.note", headers={"expires": past()})
        assert wait_until(lambda: "was not taken because of an internal error" in worker.log, seconds=10)
        assert redis.hlen("uw_unacked") + redis.llen("uw_callback") == 1
    finally:
        redis.execute_command("ACL", "SETUSER", "default", "+ltrim")
    assert wait_until(lambda: redis.llen("uw:dead_letters") == 1, seconds=10)
    assert wait_until(lambda: redis.hlen("uw_unacked") == 0, seconds=5)

"""Marks of files in use: the platform's keys and JSON, on a real Redis."""

import hashlib
import json
import threading

import pytest

from unstract_worker_core.errors import SteppedAside
from unstract_worker_core.runs.files_in_use import ActiveFile, ActiveFiles, mark_key

WORKFLOW = "0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11"
A, B = ActiveFile("etag-77ab", "inbox/a.pdf"), ActiveFile("etag-88cd", "inbox/b.pdf")


def marks(redis, execution, ttl=300):
    return ActiveFiles(redis, WORKFLOW, execution, ttl)


def holders(found):
    return {file: mark.execution_id for file, mark in found.items()}


def test_the_mark_is_the_platforms(redis):
    assert marks(redis, "mine").mark([A]) == {}
    key = f"file_active:{WORKFLOW}:etag-77ab:{hashlib.sha256(b'inbox/a.pdf').hexdigest()[:12]}"
    assert redis.keys("file_active:*") == [key]
    assert mark_key(WORKFLOW, A) == key
    assert 295 <= redis.ttl(key) <= 300
    mark = json.loads(redis.get(key))
    assert mark["ttl"] == 300
    assert mark["cached_at"] == mark["data"]["created_at"]
    del mark["data"]["created_at"]
    assert mark["data"] == {
        "execution_id": "mine",
        "workflow_id": WORKFLOW,
        "provider_file_uuid": "etag-77ab",
        "file_path": "inbox/a.pdf",
        "status": "PENDING",
    }


def test_own_marks_do_not_count_others_do(redis):
    marks(redis, "mine").mark([A])
    marks(redis, "theirs").mark([B])
    assert holders(marks(redis, "mine").marks_of_others([A, B])) == {B: "theirs"}
    assert holders(marks(redis, "theirs").marks_of_others([A, B])) == {A: "mine"}
    assert marks(redis, "mine").marks_of_others([]) == {}


@pytest.mark.parametrize(
    "mark", ["not JSON", "[]", "{}", '{"data": null}', '{"data": {}}', '{"data": {"execution_id": 5}}']
)
def test_a_mark_that_cannot_be_read_is_somebody_elses(redis, mark):
    redis.set(mark_key(WORKFLOW, A), mark)
    assert holders(marks(redis, "mine").marks_of_others([A])) == {A: ""}


def test_a_mark_taken_meanwhile_is_told_and_left(redis):
    marks(redis, "theirs").mark([A])
    before = redis.get(mark_key(WORKFLOW, A))
    assert holders(marks(redis, "mine").mark([A, B])) == {A: "theirs"}
    assert redis.get(mark_key(WORKFLOW, A)) == before
    assert holders(marks(redis, "theirs").marks_of_others([B])) == {B: "mine"}


def test_of_many_that_mark_at_once_one_has_the_file(redis):
    taken = {}

    def mark(execution):
        taken[execution] = set(marks(redis, execution).mark([A]))

    threads = [threading.Thread(target=mark, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(taken.values(), key=len) == [set()] + [{A}] * 7


def test_marking_again_renews(redis):
    own = marks(redis, "mine", ttl=60)
    own.mark([A])
    redis.expire(mark_key(WORKFLOW, A), 5)
    assert own.mark([A]) == {}
    assert redis.ttl(mark_key(WORKFLOW, A)) > 50


def test_only_own_marks_are_taken_away(redis):
    marks(redis, "mine").mark([A])
    marks(redis, "theirs").mark([B])
    marks(redis, "mine").release([mark_key(WORKFLOW, A), mark_key(WORKFLOW, B)])
    assert redis.keys("file_active:*") == [mark_key(WORKFLOW, B)]
    marks(redis, "mine").release([])


def test_a_mark_that_was_replaced_meanwhile_is_not_discarded(redis):
    marks(redis, "ended").mark([A, B])
    found = marks(redis, "mine").marks_of_others([A, B])
    redis.delete(mark_key(WORKFLOW, B))
    marks(redis, "theirs").mark([B])
    marks(redis, "mine").discard(found)
    assert holders(marks(redis, "mine").marks_of_others([A, B])) == {B: "theirs"}


def test_a_redis_that_is_away_is_not_none_active(redis_server, redis):
    with redis_server.client() as other:
        other.connection_pool.connection_kwargs["port"] = 1
        away = marks(other, "mine")
        for ask, what in ((away.marks_of_others, [A]), (away.mark, [A]), (away.release, ["key"])):
            with pytest.raises(SteppedAside, match="cache Redis"):
                ask(what)


def test_many_marks_are_released_by_few_calls_and_only_ours(redis):
    files = [ActiveFile(f"etag-{number}", f"inbox/{number}.pdf") for number in range(600)]
    marks(redis, "theirs").mark(files[:1])
    marks(redis, "mine").mark(files[1:])
    redis.config_resetstat()
    marks(redis, "mine").release([mark_key(WORKFLOW, file) for file in files])
    assert holders(marks(redis, "another").marks_of_others(files)) == {files[0]: "theirs"}
    assert redis.info("commandstats")["cmdstat_eval"]["calls"] == 2

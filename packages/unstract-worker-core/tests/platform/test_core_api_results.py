"""The list from which the backend answers an API caller."""

import json
import threading

import pytest
import stamina
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from unstract_worker_core.api_results import ApiResultItem, ApiResults
from unstract_worker_core.errors import LeaseLost, LedgerError, LedgerUnavailable

KEY = "api_results:w:e"
MARK = "uw:pushed:e:1"


def item(number, result=None):
    return ApiResultItem(f"file-{number}.txt", None, "Success", result or {"output": number}, None, {"n": number})


def items(count):
    return (item(number) for number in range(count))


@pytest.fixture
def results(redis):
    return ApiResults(redis, ttl_seconds=500)


def listed(redis):
    return [json.loads(text) for text in redis.lrange(KEY, 0, -1)]


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_the_whole_list_is_put_in_place_however_long(redis, results, count):
    assert results.replace("w", "e", items(count)) == count

    assert listed(redis) == [
        {
            "file": f"file-{number}.txt", "file_execution_id": None, "status": "Success",
            "result": {"output": number}, "error": None, "metadata": {"n": number},
        }
        for number in range(count)
    ]  # fmt: skip
    assert 490 < redis.ttl(KEY) <= 500
    assert redis.keys() == [KEY]


def test_repeating_it_gives_the_same_list(redis, results):
    for _ in range(3):
        results.replace("w", "e", items(120))

    assert [each["metadata"]["n"] for each in listed(redis)] == list(range(120))
    assert redis.keys() == [KEY]


def test_what_stood_there_before_is_replaced_whatever_it_was(redis, results):
    redis.rpush(KEY, "an item of an earlier writer")
    results.replace("w", "e", items(2))
    assert len(listed(redis)) == 2
    redis.set(KEY, "no list")

    results.replace("w", "e", items(1))

    assert len(listed(redis)) == 1


def test_no_items_write_nothing(redis, results):
    assert results.replace("w", "e", items(0)) == 0
    assert redis.keys() == []


def test_a_text_of_every_alphabet_comes_back_as_it_was(redis, results):
    result = {"output": "Überweisung 合計 \u2028 \x00 😀", "number": 1.5, "nothing": None}

    results.replace("w", "e", [item(1, result)])

    assert listed(redis)[0]["result"] == result


@pytest.mark.parametrize("after", [0, 100, 150])
def test_what_the_items_raise_leaves_the_list_as_it_was(redis, results, after):
    results.replace("w", "e", items(3))

    def lost():
        yield from items(after)
        raise LeaseLost("somebody else's")

    with pytest.raises(LeaseLost):
        results.replace("w", "e", lost())

    assert len(listed(redis)) == 3
    for key in redis.keys("uw:staging:*"):  # what was staged goes by itself, soon
        assert 0 < redis.ttl(key) <= 600


def test_the_list_is_not_to_be_seen_before_it_is_whole(redis, results):
    seen = []

    def watched():
        for number in range(250):
            seen.append(redis.exists(KEY))
            yield item(number)

    results.replace("w", "e", watched())

    assert set(seen) == {0}
    assert len(listed(redis)) == 250


def test_two_writers_do_not_mix(redis, results):
    """The second writes its whole list while the first is paused half way; then the first continues."""

    def interrupted():
        yield from items(150)
        results.replace("w", "e", items(250))
        yield from (item(number) for number in range(150, 250))

    results.replace("w", "e", interrupted())

    assert [each["metadata"]["n"] for each in listed(redis)] == list(range(250))
    assert redis.keys() == [KEY]


def test_many_writers_at_once_leave_one_whole_list(redis, results):
    threads = [threading.Thread(target=results.replace, args=("w", "e", items(220))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert [each["metadata"]["n"] for each in listed(redis)] == list(range(220))
    assert redis.keys() == [KEY]


def test_items_are_pushed_once(redis, results):
    assert results.push_once("w", "e", "1", [item(1), item(2)]) is True
    assert results.push_once("w", "e", "1", [item(1), item(2)]) is False
    assert results.push_once("w", "e", "2", [item(3)]) is True

    assert [each["file"] for each in listed(redis)] == ["file-1.txt", "file-2.txt", "file-3.txt"]
    assert all(490 < redis.ttl(key) <= 500 for key in (KEY, MARK, "uw:pushed:e:2"))


def test_markers_of_other_executions_do_not_count(redis, results):
    results.push_once("w", "other", "1", [item(1)])

    assert results.push_once("w", "e", "1", [item(1)]) is True


def test_a_push_refreshes_the_list_s_end(redis, results):
    results.push_once("w", "e", "1", [item(1)])
    redis.expire(KEY, 5)

    results.push_once("w", "e", "2", [item(2)])

    assert redis.ttl(KEY) > 490


class Meddling(Redis):
    """Something happens on other connections as soon as the marker was looked at."""

    def meddle(self):
        raise NotImplementedError

    def pipeline(self, transaction=True, shard_hint=None):
        pipe, meddle = super().pipeline(transaction, shard_hint), self.meddle
        begin = pipe.multi

        def multi():
            begin()
            meddle()

        pipe.multi = multi
        return pipe


def meddling(url, redis, meddle):
    client = Meddling.from_url(url, decode_responses=True, retry=Retry(NoBackoff(), 0))
    client.meddle = lambda: meddle(redis)
    return ApiResults(client, ttl_seconds=500)


def test_another_push_at_the_same_moment_is_not_taken_for_ours(redis, redis_url):
    pushed = meddling(redis_url, redis, lambda other: other.set(MARK, "1"))

    assert pushed.push_once("w", "e", "1", [item(1)]) is False

    assert redis.exists(KEY) == 0


def test_a_push_that_was_cut_is_not_taken_for_done(redis, redis_url):
    cuts = []

    def cut_once(other):
        if not cuts:
            cuts.append(other.client_kill_filter(skipme=True, _type="normal"))

    assert meddling(redis_url, redis, cut_once).push_once("w", "e", "1", [item(1)]) is True

    assert [each["file"] for each in listed(redis)] == ["file-1.txt"]


def losing_answers(url, command):
    """A client that loses the first answer to a MULTI with this command: it was applied, and the caller does not know."""

    class Losing(Redis):
        lost = False

        def pipeline(self, transaction=True, shard_hint=None):
            pipe, execute = super().pipeline(transaction, shard_hint), None
            execute = pipe.execute

            def lossy():
                hit = not Losing.lost and any(args[0] == command for args, _ in pipe.command_stack)
                answer = execute()
                if hit:
                    Losing.lost = True
                    raise RedisTimeoutError("the answer is lost")
                return answer

            pipe.execute = lossy
            return pipe

    return ApiResults(Losing.from_url(url, decode_responses=True), ttl_seconds=500)


def test_a_list_whose_move_was_not_answered_is_in_place(redis, redis_url):
    assert losing_answers(redis_url, "RENAME").replace("w", "e", items(150)) == 150

    assert len(listed(redis)) == 150


def test_a_part_that_may_have_been_written_twice_ends_the_attempt(redis, redis_url):
    results = losing_answers(redis_url, "RPUSH")
    with pytest.raises(LedgerUnavailable, match="twice"):
        results.replace("w", "e", items(150))
    assert not redis.exists(KEY)

    assert results.replace("w", "e", items(150)) == 150
    assert len(listed(redis)) == 150


@pytest.mark.parametrize(
    "write",
    [lambda to: to.replace("w", "e", items(2)), lambda to: to.push_once("w", "e", "1", [item(1)])],
    ids=["replace", "push_once"],
)
class TestTrouble:
    """Redis away, full, read-only or set up wrongly."""

    @pytest.fixture(autouse=True)
    def one_attempt(self):
        with stamina.set_testing(True, attempts=1):
            yield

    def test_away(self, write):
        with Redis(port=1, retry=Retry(NoBackoff(), 0)) as nowhere, pytest.raises(LedgerUnavailable, match="unreach"):
            write(ApiResults(nowhere, ttl_seconds=5))

    def test_out_of_memory(self, redis, results, write):
        redis.config_set("maxmemory", "1")
        try:
            with pytest.raises(LedgerUnavailable, match="refuses writes"):
                write(results)
        finally:
            redis.config_set("maxmemory", "0")
        assert redis.keys() == []

    def test_not_enough_replicas(self, redis, results, write):
        redis.config_set("min-replicas-to-write", "1")
        try:
            with pytest.raises(LedgerUnavailable, match="refuses writes"):
                write(results)
        finally:
            redis.config_set("min-replicas-to-write", "0")
        assert redis.keys() == []

    def test_not_permitted(self, redis, results, write):
        redis.execute_command("ACL", "SETUSER", "default", "-rpush")
        try:
            with pytest.raises(LedgerError) as caught:
                write(results)
        finally:
            redis.execute_command("ACL", "SETUSER", "default", "+rpush")
        assert not isinstance(caught.value, LedgerUnavailable)
        assert "file-1" not in str(caught.value)
        assert redis.keys() == []

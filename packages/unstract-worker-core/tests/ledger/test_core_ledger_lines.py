"""A thread's own connection: kept, given back, made again."""

import os
import threading

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from unstract_worker_core.ledger.lines import Lines


@pytest.fixture
def client(redis_server, redis):
    """A client as the ledger has it; the server's connections of that name can be told apart."""
    with Redis(host="127.0.0.1", port=redis_server.port, decode_responses=True, client_name="lines") as made:
        yield made


@pytest.fixture
def lines(client):
    return Lines(client)


@pytest.fixture
def script(client):
    return client.register_script("return ARGV[1]")


def number(lines):
    """Which connection this thread has, as the server counts them."""
    return lines._asked("CLIENT", "ID")


def in_a_thread(call):
    """The call's value, from a thread that has ended."""
    got = []
    thread = threading.Thread(target=lambda: got.append(call()))
    thread.start()
    thread.join(10)
    return got[0]


def test_a_thread_keeps_its_connection(lines, script):
    before = number(lines)
    assert [lines.run(script, ("a",)), lines.run(script, (2,))] == ["a", "2"]
    assert number(lines) == before


def test_each_thread_has_its_own_and_gives_it_back(lines):
    mine, theirs = number(lines), in_a_thread(lambda: number(lines))
    assert theirs != mine
    assert in_a_thread(lambda: number(lines)) == theirs


def test_a_server_that_forgot_the_script_is_told_it(lines, script, redis):
    lines.run(script, ("a",))
    redis.script_flush()
    assert lines.run(script, ("b",)) == "b"


def test_a_refusal_leaves_the_connection(lines, client):
    before = number(lines)
    with pytest.raises(ResponseError):
        lines.run(client.register_script("return redis.call('nothing')"), ())
    assert number(lines) == before


def test_a_broken_connection_is_an_error_once(lines, script, redis):
    redis.client_kill_filter(_id=str(number(lines)))
    with pytest.raises(RedisConnectionError):
        lines.run(script, ("a",))
    assert lines.run(script, ("b",)) == "b"


def test_half_an_answer_is_not_read_by_the_next_step(lines, script, monkeypatch):
    lines.run(script, ("a",))
    connection = lines._connection()
    with monkeypatch.context() as patched:
        patched.setattr(connection, "read_response", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lines.run(script, ("lost",))
    assert lines.run(script, ("b",)) == "b"


def test_a_forked_child_takes_another(lines, script):
    mine = number(lines)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, str(number(lines)).encode())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert int(os.read(reading, 100)) != mine
    assert number(lines) == mine

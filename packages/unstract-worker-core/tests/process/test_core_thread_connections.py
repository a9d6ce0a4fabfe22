"""A thread's own connection: kept, given back, made again."""

import os
import threading

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from unstract_worker_core.thread_connections import ThreadConnections


@pytest.fixture
def client(redis_server, redis):
    """A client as the ledger has it; the server's connections of that name can be told apart."""
    with Redis(host="127.0.0.1", port=redis_server.port, decode_responses=True, client_name="of-threads") as made:
        yield made


@pytest.fixture
def connections(client):
    return ThreadConnections(client)


@pytest.fixture
def script(client):
    return client.register_script("return ARGV[1]")


def number(connections):
    """Which connection this thread has, as the server counts them."""
    return connections.call("CLIENT", "ID")


def in_a_thread(call):
    """The call's value, from a thread that has ended."""
    got = []
    thread = threading.Thread(target=lambda: got.append(call()))
    thread.start()
    thread.join(10)
    return got[0]


def test_a_thread_keeps_its_connection(connections, script):
    before = number(connections)
    assert [connections.run(script, ("a",)), connections.run(script, (2,))] == ["a", "2"]
    assert number(connections) == before


@pytest.mark.parametrize("argument", ["", "a b", "Zoë \u20ac \U0001f600", "\r\n$1\r\n", "x" * 100_000, -7, 10**18])
def test_an_argument_arrives_as_it_is(connections, script, argument):
    assert connections.run(script, (argument,)) == str(argument)


def test_bytes_and_keys_arrive_as_they_are(connections, client):
    script = client.register_script("return {#KEYS, KEYS[1], ARGV[1] == '\\255'}")
    assert connections.run(script, (b"\xff",), ("some key",)) == [1, "some key", 1]


def test_each_thread_has_its_own_and_gives_it_back(connections):
    mine, theirs = number(connections), in_a_thread(lambda: number(connections))
    assert theirs != mine
    assert in_a_thread(lambda: number(connections)) == theirs


def test_a_server_that_forgot_the_script_is_told_it(connections, script, redis):
    connections.run(script, ("a",))
    redis.script_flush()
    assert connections.run(script, ("b",)) == "b"


def test_a_refusal_leaves_the_connection(connections, client):
    before = number(connections)
    with pytest.raises(ResponseError):
        connections.run(client.register_script("return redis.call('nothing')"), ())
    assert number(connections) == before


def test_commands_together_are_answered_in_their_order(connections, redis):
    assert connections.calls([("SET", "k", "Zo\u00eb", "EX", 60), ("GET", "k"), ("GET", "none")]) == [
        "OK",
        "Zo\u00eb",
        None,
    ]
    assert connections.calls([]) == []


def test_one_refusal_among_commands_is_raised_once_all_are_answered(connections, redis):
    before = number(connections)
    with pytest.raises(ResponseError, match="wrong kind"):
        connections.calls([("SET", "k", 1), ("LPUSH", "k", "x"), ("SET", "after", 2)])
    assert (number(connections), redis.get("after")) == (before, "2")


def test_a_master_that_is_none_any_more_is_connected_to_anew(connections, redis):
    before = number(connections)
    redis.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(ReadOnlyError):
            connections.call("SET", "k", 1)
        assert number(connections) != before
    finally:
        redis.replicaof("NO", "ONE")


def test_a_broken_connection_is_an_error_once(connections, script, redis):
    redis.client_kill_filter(_id=str(number(connections)))
    with pytest.raises(RedisConnectionError):
        connections.run(script, ("a",))
    assert connections.run(script, ("b",)) == "b"


def test_a_server_that_does_not_answer_is_waited_for_as_long_as_the_client_says(redis_server, redis):
    with Redis(host="127.0.0.1", port=redis_server.port, decode_responses=True, socket_timeout=0.1) as client:
        connections, script = ThreadConnections(client), client.register_script("return ARGV[1]")
        connections.run(script, ("a",))
        assert connections._loan().connection._sock.gettimeout() is None  # the kernel's, not Python's
        redis.client_pause(60_000, all=False)
        try:
            with pytest.raises(RedisTimeoutError):
                connections.run(script, ("lost",))
        finally:
            redis.client_unpause()
        assert connections.run(script, ("b",)) == "b"


def test_half_an_answer_is_not_read_by_the_next_step(connections, script, monkeypatch):
    connections.run(script, ("a",))
    reader = connections._loan().reader
    with monkeypatch.context() as patched:
        patched.setattr(type(reader), "read", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            connections.run(script, ("lost",))
    assert connections.run(script, ("b",)) == "b"


def test_a_forked_child_takes_another(connections, script):
    mine = number(connections)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, str(number(connections)).encode())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert int(os.read(reading, 100)) != mine
    assert number(connections) == mine

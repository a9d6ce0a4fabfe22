"""Redis' answers as they come off a socket, in pieces of any size."""

import socket
from contextlib import suppress

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from unstract_worker_core.redis_answers import AnswerReader

ANSWERS = [
    (b":-7\r\n", -7),
    (b"+OK\r\n", "OK"),
    (b"$0\r\n\r\n", ""),
    (b"$6\r\na\r\nb\r\n\r\n", "a\r\nb\r\n"),
    (b"$4\r\n\xe2\x82\xac!\r\n", "\u20ac!"),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"_\r\n", None),
    (b"*0\r\n", []),
    (b"*3\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n+y\r\n", [1, ["x", None], "y"]),
]


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        yield ours, theirs


def reader(sock, encoding="utf-8"):
    return AnswerReader(sock, encoding, ResponseError)


@pytest.mark.parametrize(("raw", "value"), ANSWERS)
def test_an_answer_is_read_whole_and_the_next_begins_behind_it(ends, raw, value):
    ours, theirs = ends
    theirs.sendall(raw + b":5\r\n")
    reading = reader(ours)
    assert [reading.read(), reading.read()] == [value, 5]


class Drip:
    """A socket that gives one byte at a time."""

    def __init__(self, content):
        self.left = content

    def recv(self, size):
        assert size > 0
        piece, self.left = self.left[:1], self.left[1:]
        return piece


@pytest.mark.parametrize(("raw", "value"), ANSWERS)
def test_it_may_come_byte_by_byte(raw, value):
    reading = reader(Drip(raw * 2))
    assert [reading.read(), reading.read()] == [value, value]


@pytest.mark.parametrize("raw", [raw for raw, _ in ANSWERS])
def test_half_an_answer_is_none(raw):
    for cut in range(len(raw)):
        with pytest.raises(RedisConnectionError, match="closed"):
            reader(Drip(raw[:cut])).read()


def test_a_large_text_comes_in_many_reads(ends):
    ours, theirs = ends
    content = bytes(range(256)) * 40_000
    raw = b"*2\r\n$%d\r\n%b\r\n:1\r\n" % (len(content), content)
    theirs.setblocking(False)
    reading, sent = reader(ours, encoding=None), 0

    class Feeding:
        """Hands over as the other side finds room."""

        def recv(self, size):
            nonlocal sent
            with suppress(BlockingIOError):
                sent += theirs.send(raw[sent:])
            return ours.recv(size)

    reading._socket = Feeding()
    assert reading.read() == [content, 1]


def test_an_error_is_a_value_so_that_the_answers_behind_it_are_read():
    reading = reader(Drip(b"*2\r\n-ERR no\r\n:1\r\n-NOPE\r\n:2\r\n"))
    (error, one), refused, two = reading.read(), reading.read(), reading.read()
    assert (str(error), one, str(refused), two) == ("ERR no", 1, "NOPE", 2)


def test_more_than_was_asked_for_is_refused(ends):
    ours, theirs = ends
    reading = reader(ours)
    theirs.sendall(b"$3\r\nabc\r\n")
    reading.read()
    reading.let_go()
    theirs.sendall(b":1\r\n:2\r\n")
    reading.read()
    with pytest.raises(RedisConnectionError, match="nobody asked"):
        reading.let_go()


def test_what_no_script_answers_is_refused():
    with pytest.raises(InvalidResponse):
        reader(Drip(b"%1\r\n+a\r\n+b\r\n")).read()

"""What bytes off the wire are taken for."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstract_worker_core.backend.exchanges import Interrupted, Wanted
from unstract_worker_core.backend.incoming import Incoming, MalformedAnswer
from unstract_worker_core.backend.transport import Transport

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Last: 1\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.0 200 OK\r\n\r\nhello"


def fed(*pieces, limit=100):
    answer = Incoming(limit)
    for piece in pieces:
        if answer.ended:
            break
        answer.feed(piece)
    return answer


def cut(content, places):
    edges = sorted({place % (len(content) + 1) for place in places} | {0, len(content)})
    return [content[start:end] for start, end in pairwise(edges)]


@given(st.sampled_from([PLAIN, CHUNKED, UNTIL_CLOSED]), st.lists(st.integers(0, 200), max_size=8))
def test_it_does_not_matter_how_the_bytes_come(content, places):
    answer = fed(*cut(content, places), b"")
    assert (answer.ended, answer.over, answer.body) == (True, False, b"hello")
    assert answer.status == (201 if content is CHUNKED else 200)
    assert answer.reusable == (content is not UNTIL_CLOSED)


@given(st.sampled_from([PLAIN, CHUNKED]), st.data())
def test_an_answer_that_ends_early_is_none(content, data):
    length = data.draw(st.integers(0, len(content) - 1))
    answer = fed(*([content[:length]] if length else []))
    with pytest.raises(MalformedAnswer):
        answer.feed(b"")


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello",
        b"HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
    ],
)
def test_what_is_no_answer(content):
    with pytest.raises(MalformedAnswer):
        fed(content)


@given(st.lists(st.integers(0, 200), max_size=8))
def test_interim_answers_are_passed_over(places):
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
    answer = fed(*cut(interim + PLAIN, places))
    assert (answer.status, answer.body, answer.reusable) == (200, b"hello", True)
    assert b"retry-after" not in answer.headers


def test_headers_are_told_whatever_their_case_and_repeated_ones_together():
    answer = fed(b"HTTP/1.1 204 None\r\nRETRY-after: 3\r\nX-A: 1\r\nx-a: 2\r\n\r\n")
    assert answer.headers == {b"retry-after": b"3", b"x-a": b"1, 2"}
    assert answer.ended
    assert answer.body == b""


def test_a_trailer_is_no_header():
    assert fed(CHUNKED).headers == {b"transfer-encoding": b"chunked"}


def test_another_answer_behind_the_first_does_not_count():
    answer = fed(PLAIN + b"HTTP/1.1 500 No\r\nContent-Type: x\r\nContent-Length: 3\r\n\r\nbad")
    assert (answer.status, answer.headers[b"content-type"], answer.body) == (200, b"text/plain", b"hello")
    assert not answer.reusable


def test_a_connection_that_says_more_than_it_was_asked_for_is_not_used_again(server):
    def twice(handler):
        handler.wfile.write(PLAIN + PLAIN)

    server.answer(twice)
    transport = Transport(None)
    wanted = Wanted("GET", server.url + "/x/", {}, 1000)
    assert transport.exchange(wanted, 5.0).body == b"hello"
    assert transport.exchange(wanted, 5.0).body == b"hello"
    assert server.connections == 2
    transport.close()


def test_a_body_ends_at_its_limit():
    exact, over = fed(PLAIN, limit=5), fed(PLAIN, limit=4)
    assert (exact.over, over.over, over.ended) == (False, True, True)


def test_what_is_no_answer_leaves_the_outcome_open(server):
    server.answer(lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"))
    transport = Transport(None)
    with pytest.raises(Interrupted, match="RemoteProtocolError: not HTTP"):
        transport.exchange(Wanted("POST", server.url + "/x/", {}, 1000, content=b"{}"), 5.0)
    transport.close()

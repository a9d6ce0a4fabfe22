"""The webhook sink: records what arrives and answers as configured."""

import http.client
import threading
from urllib.parse import urlsplit

import pytest

from unstract_devstack.sink import Answer, SinkHandle, running_sink


def post(sink: SinkHandle, body: bytes, *, timeout: float = 5.0, path: str = "/hook") -> int:
    """The status that the sink answered to a POST."""
    target = urlsplit(sink.url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=timeout)
    try:
        connection.request("POST", path, body=body, headers={"Content-Type": "application/json", "X-Mark": "1"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_records_every_delivery() -> None:
    with running_sink() as sink:
        assert post(sink, b'{"n": 1}') == 200
        assert post(sink, b'{"n": 2}', path="/other?x=1") == 200
        first, second = sink.wait_for(2, seconds=5)
    assert (first.method, first.path, first.body, first.headers["x-mark"]) == ("POST", "/hook", b'{"n": 1}', "1")
    assert (second.path, second.body) == ("/other?x=1", b'{"n": 2}')
    assert first.at <= second.at


def test_answers_in_order_then_the_standing_one() -> None:
    with running_sink() as sink:
        sink.answer = Answer(status=204)
        sink.answer_next(Answer(status=503), Answer(status=302, headers=(("Location", "http://127.0.0.1:1/"),)))
        assert [post(sink, b"{}") for _ in range(4)] == [503, 302, 204, 204]
        assert len(sink.received()) == 4


def test_a_reset_a_hang_and_a_delay() -> None:
    with running_sink() as sink:
        sink.answer_next(Answer(reset=True), Answer(hang=True), Answer(delay=0.2, status=201))
        with pytest.raises(ConnectionResetError) as reset:
            post(sink, b"{}")
        # A polite end without an answer is a kind of it, too.
        assert reset.type is ConnectionResetError
        with pytest.raises(TimeoutError):
            post(sink, b"{}", timeout=0.2)
        assert post(sink, b"{}") == 201
        assert len(sink.received()) == 3


def test_the_end_does_not_wait_for_those_who_hang() -> None:
    with running_sink() as sink:
        sink.answer = Answer(hang=True)
        ended = threading.Event()

        def wait_for_an_answer() -> None:
            with pytest.raises((http.client.HTTPException, OSError)):
                post(sink, b"{}", timeout=30)
            ended.set()

        threading.Thread(target=wait_for_an_answer, daemon=True).start()
        assert len(sink.wait_for(1, seconds=5)) == 1
    assert ended.wait(10)

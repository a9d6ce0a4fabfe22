"""Answers byte by byte: what is read of them, what ends a connection, and what is no answer at all."""

import io
from http.client import HTTPException

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstract_worker_core.client.incoming import Incoming

OK = b"HTTP/1.1 200 OK\r\n"


def incoming(raw: bytes) -> Incoming:
    return Incoming(io.BufferedReader(io.BytesIO(raw)))


def whole(answer: Incoming, most: int = 7) -> bytes:
    return b"".join(iter(lambda: answer.read(most), b""))


@pytest.mark.parametrize(
    ("raw", "body", "reusable"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhelloEXTRA", b"hello", True),
        (OK + b"content-length:5\r\nConnection: Close\r\n\r\nhello", b"hello", False),
        (
            OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0006;x=y\r\n world\r\n0\r\nX-T: 1\r\n\r\n",
            b"hello world",
            True,
        ),
        (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x", True),
        (OK + b"\r\nuntil the end of it", b"until the end of it", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx", b"x", True),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx",
            b"x",
            True,
        ),
        (b"HTTP/1.1 204\r\nContent-Length: 9\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", b"x", True),
    ],
)
def test_bodies_are_read_to_their_end(raw: bytes, body: bytes, reusable: bool) -> None:
    answer = incoming(raw)
    assert whole(answer) == body
    assert answer.reusable is reusable


def test_headers_are_found_by_their_lower_case_name() -> None:
    answer = incoming(OK + b"Retry-After:  7 \r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n")
    assert (answer.status, answer.header("retry-after"), answer.header("x-a"), answer.header("no")) == (
        200,
        "7",
        "1",
        "",
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        OK,
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +5\r\n\r\nhello",
        OK + b"Content-Length: 5, 5\r\n\r\nhello",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding : chunked\r\n\r\n",
        OK + b"X-A: 1\r\n folded\r\n\r\n",
        OK + b"X-A\x00: 1\r\n\r\n",
        OK + b"X: y\r\n" * 101 + b"\r\n",
        OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Content-Length: 6\r\n\r\nhello",
    ],
)
def test_what_is_odd_or_cut_short_is_no_answer(raw: bytes) -> None:
    with pytest.raises(HTTPException):
        whole(incoming(raw))


@given(st.lists(st.sampled_from([OK, b"\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n",
                                 b"0\r\n", b"abc", b"X: y\r\n", b":", b"\x00"]), max_size=9).map(b"".join))  # fmt: skip
def test_whatever_comes_is_an_answer_or_an_error(raw: bytes) -> None:
    try:
        answer = incoming(raw)
        body = whole(answer)
    except HTTPException:
        return
    assert body in raw.replace(b"\r\n3\r\n", b"") or answer.header("transfer-encoding")

"""Receivers that misbehave: redirects, endless answers, slow ones (W3, W5), and an environment with proxies (W4)."""

import contextlib
import functools
import gzip
import socket
import threading
import tracemalloc

import pytest

from unstract_devstack.sink import Answer, running_sink

HEAD = b"HTTP/1.1 200 OK\r\n"
_BROKEN = (
    "no response (the response is not HTTP)",
    "no response (the connection was closed before the response was whole)",
    "no response (connection reset by peer)",
)


class RawServer:
    """Reads a request, then lets `talk(send)` answer; `send` raises OSError once the other side has hung up."""

    def __init__(self, talk):
        self.talk, self.sent, self.requests = talk, 0, 0
        self.over = threading.Event()
        self.ended = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/x"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            with connection:
                if self.over.is_set():
                    return
                connection.settimeout(30)
                connection.recv(65536)
                self.requests += 1
                with contextlib.suppress(OSError):
                    self.talk(functools.partial(self.send, connection), self.over)
            self.ended.set()

    def send(self, connection, data):
        connection.sendall(data)
        self.sent += len(data)

    def close(self):
        self.over.set()
        socket.create_connection(self.socket.getsockname()).close()
        self.thread.join(10)
        self.socket.close()


@pytest.fixture
def serve():
    servers = []

    def start(talk):
        servers.append(RawServer(talk))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def sink():
    with running_sink() as handle:
        yield handle


def due_in(rig, run):
    """Seconds until the ledger rings for a run, by its own clock."""
    seconds, micro = rig.redis.time()
    return (rig.redis.zscore("uw:due", run) - (seconds * 1000 + micro / 1000)) / 1000


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("reported", "least", "most"),
    [
        ("120", 110, 120),
        *((given, 3590, 3600) for given in ("86400", "9" * 40, "Fri, 31 Dec 9999 23:59:59 GMT")),
        *((given, 50, 60) for given in ("soon", None, "0", "-5", "Wed, 21 Oct 2015 07:28:00 GMT")),
    ],
)
def test_a_receiver_that_asks_for_time_gets_it_up_to_an_hour(rig, webhooks, sink, status, reported, least, most):
    """F15"""
    webhooks.allow(allowed_networks=("127.0.0.0/8",))
    sink.answer_next(Answer(status, headers=(("Retry-After", reported),) if reported else ()))
    run = webhooks.accept(f"{sink.url}/x", max_retries=3, retry_delay=60)
    assert webhooks.deliver(run)
    assert least < due_in(rig, run) <= most
    assert webhooks.deliver(run)
    assert webhooks.final(run) == {"delivery": "delivered", "attempts": 2}


def test_a_receiver_that_is_gone_is_posted_to_once(webhooks, sink):
    """F15"""
    webhooks.allow(allowed_networks=("127.0.0.0/8",))
    sink.answer = Answer(410)
    run = webhooks.send(f"{sink.url}/x", max_retries=3, retry_delay=0)
    assert webhooks.final(run) == {"delivery": "dead", "attempts": 1}
    assert webhooks.letter().reason.endswith("last: HTTP 410: the receiver says that it is gone for good")


@pytest.mark.parametrize(("status", "attempts"), [(302, 2), (400, 2), (401, 2), (404, 2), (408, 4), (425, 4), (500, 4)])
def test_what_will_hardly_pass_is_tried_less_often(webhooks, sink, status, attempts):
    """F15"""
    webhooks.allow(allowed_networks=("127.0.0.0/8",))
    sink.answer = Answer(status)
    run = webhooks.accept(f"{sink.url}/x", max_retries=3, retry_delay=0)
    while webhooks.deliver(run):
        pass
    assert webhooks.final(run) == {"delivery": "dead", "attempts": attempts}
    assert len(sink.received()) == attempts


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "/again", ""])
def test_w3_redirects_are_failures(webhooks, sink, status, location):
    sink.answer = Answer(status, headers=(("Location", location),))
    webhooks.send(f"{sink.url}/x")
    assert [post.path for post in sink.received()] == ["/x"]
    assert webhooks.letter().reason.endswith(f"HTTP {status}, redirects are not followed")


def test_w4_proxies_and_netrc_of_the_environment_are_not_used(webhooks, sink, serve, monkeypatch, tmp_path):
    proxy = serve(lambda send, over: send(HEAD + b"Content-Length: 0\r\n\r\n"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password canary\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    webhooks.send(f"{sink.url}/x")
    (post,) = sink.received()
    assert post.path == "/x"
    assert "authorization" not in post.headers
    assert proxy.requests == 0


def test_w5_of_a_giant_body_little_is_read(webhooks, serve):
    def talk(send, over):
        send(HEAD + b"Content-Length: 10737418240\r\n\r\n")
        while not over.is_set():
            send(b"x" * 65536)

    server = serve(talk)
    run = webhooks.send(server.url)
    assert webhooks.final(run) == {"delivery": "delivered", "attempts": 1}
    assert server.ended.wait(10)  # hung up on
    assert server.sent < 64 * 2**20  # all of it in the buffers of the sockets


def test_w5_a_compressed_bomb_is_not_unpacked(webhooks, serve):
    bomb = gzip.compress(b"\0" * 256 * 2**20, compresslevel=9)
    server = serve(lambda send, over: send(HEAD + b"Content-Encoding: gzip\r\n\r\n" + bomb))
    tracemalloc.start()
    try:
        run = webhooks.send(server.url)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert webhooks.final(run) == {"delivery": "delivered", "attempts": 1}
    assert peak < 16 * 2**20


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD[: HEAD.index(b"\r")], b"x"),
        (HEAD + b"X-Slow: ", b"x"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["status line", "header", "interim answers", "body", "chunks"],
)
def test_w5_a_receiver_that_trickles_is_given_up(webhooks, serve, head, piece):
    def talk(send, over):
        send(head)
        while not over.wait(0.02):
            send(piece)

    server = serve(talk)
    webhooks.send(server.url, timeout=0.3)
    assert "no response (the time for the whole call is over)" in webhooks.letter().reason
    assert server.ended.wait(10)


@pytest.mark.parametrize("endless", [False, True], ids=["1 MB", "endless"])
def test_w5_giant_headers_are_refused(webhooks, serve, endless):
    def talk(send, over):
        send(HEAD)
        if not endless:
            send(b"X-Big: " + b"x" * 2**20 + b"\r\n\r\n")
        while endless and not over.is_set():
            send(b"X-More: " + b"x" * 4096 + b"\r\n")

    server = serve(talk)
    webhooks.send(server.url, timeout=30)
    # A server that closes with our request unread may reset the connection before its line is read.
    assert webhooks.letter().reason.endswith(_BROKEN)
    assert server.ended.wait(10)


def test_w5_what_is_no_http_is_a_failure(webhooks, serve):
    server = serve(lambda send, over: send(b"220 mail.example.test ESMTP\r\n"))
    webhooks.send(server.url)
    # A server that closes with our request unread may reset the connection before its line is read.
    assert webhooks.letter().reason.endswith(_BROKEN)

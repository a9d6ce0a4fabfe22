"""HTTP on real sockets: time, size, encoding, redirects, cookies, TLS, threads, forks, connections that die."""

import errno
import multiprocessing
import resource
import select
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import closing, suppress

import httpx
import pytest
from attrs import evolve

from unstract_worker_core.backend import (
    Backend,
    ConnectFailed,
    Limits,
    PostResult,
    ResponseLost,
    exchange,
    http,
    post_once,
)
from unstract_worker_core.backend.exchange import ResponseRefused, tls_context
from unstract_worker_core.backend.http import ThreadTransport, make_request, send
from unstract_worker_core.errors import BackendUnavailable, ConfigurationError, UnexpectedAnswer

ORG = "org_alpha"
ID = "00000000-0000-0000-0000-000000000802"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
HEADS = {
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "headers": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "status line": b"HTTP/1.1 200 O",
    "interim responses": b"",
}
PIECES = {"chunks": b"1\r\n1\r\n", "interim responses": b"HTTP/1.1 100 Continue\r\n\r\n"}


@pytest.fixture(scope="session")
def identity(tmp_path_factory):
    """A key and a certificate for 127.0.0.1 in one file."""
    openssl, folder = shutil.which("openssl"), tmp_path_factory.mktemp("identity")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "identity.pem")
    name = ("-days", "30", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1")
    made = subprocess.run(
        [openssl, "req", "-x509", *key, *name], check=True, capture_output=True, timeout=30, cwd=folder
    )
    with (folder / "identity.pem").open("ab") as file:
        file.write(made.stdout)
    return folder / "identity.pem"


@pytest.fixture(params=["plain", "TLS"])
def transport(request, server):
    tls = None
    if request.param == "TLS":
        pem = request.getfixturevalue("identity")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.wrap(context)
        tls = tls_context(str(pem))
    with closing(ThreadTransport(tls)) as transport:
        yield transport


def ask(transport, server, seconds=5.0, method="GET", body=None, **limits):
    url = server.url if transport._tls is None else server.url.replace("http:", "https:")
    request = make_request(method, url + "/x/", {"Accept-Encoding": "identity"}, body=body)
    return send(transport, request, Limits(seconds, body=1000, **limits))


@pytest.mark.parametrize("where", HEADS)
def test_bytes_that_drip_end_at_the_deadline(server, transport, where):
    server.answer(server.drip(HEADS[where], PIECES.get(where, b"1"), pause=0.05))
    with pytest.raises(ResponseLost, match="time for the whole call") as failure:
        ask(transport, server, 0.3)
    assert failure.value.timed_out
    assert len(server.received) == 1


def test_a_response_that_takes_longer_than_one_wait_is_waited_for(server, transport, monkeypatch):
    monkeypatch.setattr(exchange, "_SLICE_SECONDS", 0.02)

    def slow(handler):
        assert not server.stopping.wait(0.2)
        server.sends({"came": "late"})(handler)

    server.answer(slow)
    assert ask(transport, server).json() == {"came": "late"}


def test_silence_ends_a_call_before_its_time_and_a_byte_now_and_then_does_not(server, transport):
    hold = threading.Event()
    server.answer(lambda handler: hold.wait(10) and None)
    with pytest.raises(ResponseLost, match="nothing came") as failure:
        ask(transport, server, 60.0, silence=0.2)
    assert failure.value.timed_out
    hold.set()
    server.answer(server.drip(HEADS["body"], b"1", pause=0.05))
    with pytest.raises(ResponseLost, match="time for the whole call"):
        ask(transport, server, 1.0, silence=0.5)


def test_silence_is_told_after_a_minute_and_then_each_time_twice_as_late(server, transport, monkeypatch):
    monkeypatch.setattr(exchange, "_SLICE_SECONDS", 0.01)
    heard, release = [], threading.Event()

    class Minutes:
        """A clock in which each look takes ten seconds."""

        now = 0.0

        def monotonic(self):
            self.now += 10.0
            return self.now

    monkeypatch.setattr(exchange, "time", Minutes())

    def hear(seconds):
        heard.append(seconds)
        if len(heard) == 3:
            release.set()

    server.answer(lambda handler: release.wait(10) and server.sends({})(handler))
    assert ask(transport, server, 1e9, connect_seconds=1e9, on_silence=hear).status_code == 200
    assert [60 <= heard[0] < 120, 120 <= heard[1] < 240, 240 <= heard[2] < 480] == [True] * 3


def test_slow_backend_frees_the_caller_within_the_budget(server, backend_with):
    backend = backend_with(timeout=0.1, total_timeout=1.0, retry_attempts=100)
    server.answer(server.drip(b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"))
    with pytest.raises(BackendUnavailable, match="no response"):
        backend.usage.tokens(ORG, ID)
    assert 2 <= len(server.received) <= 10


def test_time_that_is_over_before_it_begins_sends_nothing(server, transport):
    for _ in range(2):  # on a new connection, and on one that is kept
        with pytest.raises(ConnectFailed):
            ask(transport, server, 0.0)
        server.answer(server.sends({}))
        ask(transport, server)
    assert len(server.received) == 2


def test_time_that_is_used_up_while_connecting_sends_nothing(server, transport, monkeypatch):
    """F9: the connection is there, the time is over: safe to repeat."""
    connect = exchange.Dialer.connect

    def slowly(dialer, host, port, seconds):
        sock = connect(dialer, host, port, seconds)
        monkeypatch.setattr(exchange.time, "monotonic", lambda: 1e9)
        return sock

    monkeypatch.setattr(exchange.Dialer, "connect", slowly)
    server.answer(server.sends({}))
    with pytest.raises(ConnectFailed, match="time"):
        ask(transport, server, 5.0, method="POST", body=b"{}")
    monkeypatch.undo()
    assert server.received == []


def test_a_large_request_arrives_whole(server, transport):
    server.answer(server.sends({}))
    ask(transport, server, method="POST", body=b"x" * 1_000_000)
    assert len(server.last.body) == 1_000_000


@pytest.mark.parametrize("transport", ["plain"], indirect=True)
def test_a_request_that_is_not_taken_ends_at_the_deadline(transport):
    """The server accepts and reads nothing; some bytes are in its buffers, so the outcome is open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        request = make_request("POST", f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, body=b"x" * 50_000_000)
        with pytest.raises(ResponseLost) as failure:
            send(transport, request, Limits(2.0))
    assert failure.value.timed_out


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_endless_answers_and_bombs_do_not_fill_memory(server, backend, encoding):
    server.answer(server.flood(encoding))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnexpectedAnswer, match="compressed" if encoding else "larger than 1048576 bytes"):
        backend.usage.tokens(ORG, ID)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert len(server.received) == 1
    assert grown_mb < 50


def test_a_response_of_exactly_the_limit_is_read(server, transport):
    server.answer(server.raw(b"x" * 1000))
    assert len(ask(transport, server).content) == 1000
    server.answer(server.raw(b"x" * 1001))
    with pytest.raises(ResponseRefused, match="larger than 1000 bytes"):
        ask(transport, server)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["/elsewhere/", "http://127.0.0.2:{port}/elsewhere/", "http://[broken", ""])
def test_redirects_are_not_followed(server, backend, status, target):
    server.answer(server.raw(b"", status, location=target.format(port=server.port)))
    with pytest.raises(UnexpectedAnswer, match="missing slash"):
        backend.usage.tokens(ORG, ID)
    assert len(server.received) == 1


def test_cookies_are_not_kept(server, backend):
    server.answer(server.sends([], Set_Cookie="sessionid=abc; Path=/"))
    backend.files.list(ORG, ID)
    backend.files.list(ORG, ID)
    assert "cookie" not in server.last.headers


def test_proxy_variables_and_netrc_are_not_read(server, backend_with, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password eve\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    server.answer(server.sends([]))
    backend_with().files.list(ORG, ID)
    assert server.last.headers["authorization"].startswith("Bearer ")


def test_credentials_in_the_base_url_do_not_replace_the_key(server, backend_with):
    server.answer(server.sends([]))
    backend_with(base_url=server.url.replace("//", "//eve:pw@")).files.list(ORG, ID)
    assert server.last.headers["authorization"].startswith("Bearer ")


def test_connections_are_kept_and_a_closed_one_is_noticed(server, backend):
    server.answer(server.sends([]))
    backend.files.list(ORG, ID)
    backend.files.list(ORG, ID)
    assert server.connections == 1
    server.answer(server.sends([], Connection="close"))
    backend.files.list(ORG, ID)
    server.answer(server.sends([]))
    backend.files.list(ORG, ID)
    assert server.connections == 2


def test_two_threads_have_two_clients_and_close_ends_both(server, backend):
    server.answer(server.sends([]))
    asked, leave = threading.Event(), threading.Event()

    def other():
        backend.files.list(ORG, ID)
        asked.set()
        leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    backend.files.list(ORG, ID)
    assert asked.wait(10)
    assert len(backend._transport._connections) == 2
    assert server.connections == 2
    backend.close()
    assert len(backend._transport._connections) == 0
    backend.files.list(ORG, ID)
    assert server.connections == 3
    leave.set()
    thread.join(10)


# --- connections that die


def test_a_connection_that_was_idle_for_long_is_not_used(server, transport, monkeypatch):
    monkeypatch.setattr(http, "_IDLE_SECONDS", 0.0)
    server.answer(server.sends({}))
    ask(transport, server)
    ask(transport, server)
    assert server.connections == 2
    monkeypatch.undo()
    assert http._IDLE_SECONDS < 2  # what gunicorn keeps


def test_what_must_not_be_repeated_goes_on_a_fresh_connection_which_is_then_kept(server, transport):
    server.answer(server.sends({}))
    ask(transport, server)
    ask(transport, server, method="POST", body=b"{}", fresh=True)
    ask(transport, server)
    assert server.connections == 2


def test_a_connection_that_the_server_closed_is_noticed_before_it_is_used(server, transport):
    def hang_up(handler):
        server.sends({})(handler)
        handler.close_connection = True

    server.answer(hang_up)
    for number in range(1, 4):
        ask(transport, server)
        while transport._local.connection.usable(transport._local.connection._origin):
            threading.Event().wait(0.001)  # until the end of the connection has arrived
        assert server.connections == number


def test_one_thread_has_one_connection(server, transport):
    server.answer(server.sends({}))
    for _ in range(5):
        ask(transport, server)
        ask(transport, server, fresh=True)
    assert len(transport._connections) == 1


def test_a_forked_child_leaves_the_connection_as_it_is(server, transport):
    server.answer(server.sends({}))
    ask(transport, server)
    child = multiprocessing.get_context("fork").Process(target=ask, args=(transport, server))
    child.start()
    child.join(10)
    assert child.exitcode == 0
    ask(transport, server)
    assert (server.connections, len(server.received)) == (2, 3)


def test_a_server_that_closes_when_the_next_request_comes_is_a_stale_connection(server, transport):
    def answer_then_hang_up_on_the_next(handler):
        server.sends({})(handler)
        handler.wfile.flush()
        handler.close_connection = True
        select.select([handler.connection], [], [], 10)  # the next request, which is not read

    server.answer(answer_then_hang_up_on_the_next)
    ask(transport, server)
    with pytest.raises(ResponseLost) as failure:
        ask(transport, server)
    assert (failure.value.stale, failure.value.timed_out) == (True, False)
    assert ask(transport, server).status_code == 200
    server.answer(server.cut())
    with pytest.raises(ResponseLost) as failure:
        ask(transport, server, fresh=True)
    assert not failure.value.stale


def test_a_response_behind_the_one_that_was_asked_for_is_not_taken_for_the_next(server, transport):
    server.answer(lambda handler: handler.wfile.write(PLAIN + PLAIN))
    assert ask(transport, server).content == b"hello"
    with pytest.raises(ConnectFailed, match="not HTTP"):  # noticed before the next request was sent
        ask(transport, server)
    server.answer(server.sends({"n": 1}))
    assert ask(transport, server).json() == {"n": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_what_is_no_response_leaves_the_outcome_open_and_is_not_quoted(server, transport, content):
    def reply(handler):
        handler.close_connection = True
        handler.wfile.write(content)

    server.answer(reply)
    with pytest.raises(ResponseLost, match=r"^the response is not HTTP$"):
        ask(transport, server, method="POST", body=b"{}")


def test_interim_responses_are_passed_over(server, transport):
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
    server.answer(lambda handler: handler.wfile.write(interim + PLAIN))
    response = ask(transport, server)
    assert (response.status_code, response.content) == (200, b"hello")
    assert "retry-after" not in response.headers


@pytest.mark.parametrize("transport", ["plain"], indirect=True)
def test_a_refusal_that_comes_while_the_request_is_still_sent_is_read(transport):
    """A proxy answers 413 and closes; what it wrote before is worth more than the broken pipe."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                with suppress(OSError):
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert send(transport, make_request("POST", url, {}, body=b"x" * 2_000_000), Limits(10)).status_code == 413
        transport.close()
        thread.join(10)


# --- addresses


@pytest.fixture
def resolved(monkeypatch):
    """Answers look-ups with these addresses."""
    asked = []

    def to(*addresses):
        def look_up(host, port, **options):
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(exchange.socket, "getaddrinfo", look_up)
        return asked

    return to


def test_the_address_that_worked_is_tried_first(server, resolved, monkeypatch):
    """F19: the first address of the name swallows packets."""
    tried = []
    connect = socket.socket.connect

    class Socket(socket.socket):
        def connect(self, address):
            tried.append((address[0], self.gettimeout()))
            if address[0] == "192.0.2.1":
                raise TimeoutError
            connect(self, address)

    monkeypatch.setattr(exchange.socket, "socket", Socket)
    resolved("192.0.2.1", "127.0.0.1")
    server.answer(server.sends({}))
    request = make_request("GET", f"http://backend.test:{server.port}/", {})
    with closing(ThreadTransport()) as transport:
        for _ in range(2):
            assert send(transport, request, Limits(60, fresh=True)).status_code == 200
    assert [address for address, _ in tried] == ["192.0.2.1", "127.0.0.1", "127.0.0.1"]
    assert tried[0][1] <= 3.0


@pytest.mark.parametrize("transport", ["plain"], indirect=True)
def test_ipv6_addresses_have_brackets_where_they_must(transport):
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    requests = []

    def serve():
        connection, _ = listener.accept()
        with connection:
            requests.append(connection.recv(1000))
            connection.sendall(PLAIN)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        port = listener.getsockname()[1]
        assert send(transport, make_request("GET", f"http://[::1]:{port}/x", {}), Limits(5)).content == b"hello"
        thread.join(10)
    assert f"Host: [::1]:{port}\r\n".encode() in requests[0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "unknown host name"),
        (TimeoutError(), "not connected in time"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to host"),
    ],
)
def test_why_there_is_no_connection_is_said_plainly(transport, server, monkeypatch, error, reason):
    def fail(dialer, host, port, seconds):
        raise error

    monkeypatch.setattr(exchange.Dialer, "connect", fail)
    with pytest.raises(ConnectFailed, match=f"^{reason}$"):
        ask(transport, server)


# --- a double of the transport


def test_a_mock_transport_of_httpx_takes_the_place_of_the_wire(settings):
    def handle(request):
        assert request.headers["x-organization-id"] == ORG
        return httpx.Response(200, json=[])

    assert Backend(settings, transport=httpx.MockTransport(handle)).files.list(ORG, ID) == ()


# --- post_once


def test_post_once(server):
    server.answer(server.raw(b"thanks", 202))
    assert post_once(server.url + "/hook", b"{}", {"X-K": "v"}, Limits(5)) == PostResult(202)
    sent = server.last
    assert (sent.method, sent.path, sent.body) == ("POST", "/internal/hook", b"{}")
    assert sent.headers["x-k"] == "v"
    assert sent.headers["connection"] == "close"


def test_post_once_goes_to_the_address_and_names_the_host(server):
    server.answer(server.status(200))
    url = f"http://hooks.example.test:{server.port}/x"
    assert post_once(url, b"", {}, Limits(5), address="127.0.0.1").status == 200
    assert server.last.headers["host"] == f"hooks.example.test:{server.port}"


def test_post_once_follows_nothing_and_reads_little(server):
    server.answer(server.raw(b"", 302, location=server.url))
    assert post_once(server.url, b"", {}, Limits(5)).status == 302
    server.answer(server.flood(megabytes=50))
    assert post_once(server.url, b"", {}, Limits(5)).status == 200
    assert len(server.received) == 2


@pytest.mark.parametrize("limit", [0, 3])
def test_post_once_waits_for_no_more_of_the_body_than_its_limit(server, limit):
    over = threading.Event()

    def stall(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + b"x" * limit)
        handler.wfile.flush()
        over.wait(10)

    server.answer(stall)
    try:
        assert post_once(server.url, b"", {}, Limits(5), body_limit=limit) == PostResult(200)
    finally:
        over.set()


def test_post_once_is_cut_at_its_deadline(server):
    server.answer(server.drip(b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"))
    with pytest.raises(ResponseLost) as failure:
        post_once(server.url, b"", {}, Limits(0.3))
    assert failure.value.timed_out


def test_endless_headers_are_not_read_for_ever(server):
    server.answer(server.drip(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"y" * 8000 + b"\r\n", pause=0.0))
    with pytest.raises(ResponseLost) as failure:
        post_once(server.url, b"", {}, Limits(20))
    assert not failure.value.timed_out


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://[bad", {}),
        ("ftp://127.0.0.1/", {}),
        ("http://127.0.0.1/", {"X-A": "ü\u2028"}),
        ("http://127.0.0.1:{port}/", {"X-A": "a\r\nX-Evil: 1"}),
        ("http://127.0.0.1:{port}/", {"X-A": "a", "X-B: b\r\nX-Evil": "1"}),
        ("http://127.0.0.1:{port}/", {"X-A: a": "b"}),
        ("http://127.0.0.1:{port}/", {"": "a"}),
    ],
)
def test_what_is_no_request_is_not_sent(server, url, headers):
    with pytest.raises(ConnectFailed):
        post_once(url.format(port=server.port), b"", headers, Limits(5))
    assert server.received == []


def test_nobody_listens(free_port):
    with pytest.raises(ConnectFailed, match="refused"):
        post_once(f"http://127.0.0.1:{free_port}/", b"", {}, Limits(5))


# --- TLS


AUTHORITY = """
[ca]
default_ca = here
[here]
database = index.txt
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = any
[any]
commonName = supplied
[names]
subjectAltName = {names}
"""


@pytest.fixture
def certificate(tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")

    def run(*command):
        subprocess.run([openssl, *command], check=True, capture_output=True, timeout=30, cwd=tmp_path)

    def make(names, start, end):
        """A key and a certificate that signs itself."""
        (tmp_path / "index.txt").write_text("")
        (tmp_path / "ca.conf").write_text(AUTHORITY.format(names=names))
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        run("req", "-new", *curve, "-nodes", "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=backend")
        run(
            *("ca", "-selfsign", "-batch", "-config", "ca.conf", "-extensions", "names", "-keyfile", "key.pem"),
            *("-in", "request.pem", "-out", "cert.pem", "-notext", "-startdate", start, "-enddate", end),
        )
        return tmp_path / "key.pem", tmp_path / "cert.pem"

    return make


@pytest.fixture
def secure_backend(server, settings):
    """Turns the server's socket into a TLS one; a client with or without trust in its certificate."""
    made = []

    def make(key, pem, *, trust):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)
        server.wrap(context)
        changed = evolve(
            settings,
            base_url=server.url.replace("http:", "https:"),
            ca_file=str(pem) if trust else None,
            retry_attempts=0,
        )
        made.append(Backend(changed))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


VALID = ("20240101000000Z", "20440101000000Z")
EXPIRED = ("20200101000000Z", "20200102000000Z")


def test_certificate_that_is_trusted_by_file(server, certificate, secure_backend):
    server.answer(server.sends([]))
    backend = secure_backend(*certificate("IP:127.0.0.1", *VALID), trust=True)
    assert backend.files.list(ORG, ID) == ()


@pytest.mark.parametrize(
    ("names", "dates", "trust", "expected"),
    [
        ("IP:127.0.0.1", VALID, False, "self-signed"),
        ("IP:127.0.0.9", VALID, True, "mismatch"),
        ("IP:127.0.0.1", EXPIRED, True, "expired"),
    ],
)
def test_certificates_that_are_refused(server, certificate, secure_backend, names, dates, trust, expected):
    backend = secure_backend(*certificate(names, *dates), trust=trust)
    with pytest.raises(BackendUnavailable, match=f"certificate refused: .*{expected}"):
        backend.files.list(ORG, ID)
    assert server.received == []


def test_a_handshake_that_is_not_answered_ends_in_time_and_nothing_was_sent(identity):
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(ThreadTransport(tls_context())) as transport:
        request = make_request("POST", f"https://127.0.0.1:{listener.getsockname()[1]}/", {}, body=b"{}")
        with pytest.raises(ConnectFailed, match="not connected in time"):
            send(transport, request, Limits(60.0, connect_seconds=0.2))


def test_post_once_keeps_the_certificates_name_at_another_address(server, identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    asked = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server.wrap(context)
    url = f"https://hooks.example.test:{server.port}/x"
    with pytest.raises(ConnectFailed, match=r"certificate refused: .*hooks\.example\.test"):
        post_once(url, b"", {}, Limits(5), address="127.0.0.1", ca_file=str(identity))
    assert asked == ["hooks.example.test"]
    assert server.received == []


def test_there_is_one_tls_context(settings):
    assert tls_context() is tls_context()
    first = Backend(evolve(settings, base_url="https://backend.test/internal"))
    second = Backend(evolve(settings, base_url="https://backend.test/internal"))
    assert first._transport._tls is second._transport._tls
    assert first._transport._tls.verify_mode is ssl.CERT_REQUIRED
    assert first._transport._tls.check_hostname


def test_a_bad_ca_file_is_named(settings, tmp_path):
    (tmp_path / "bad.pem").write_text("SECRET")
    for path in (tmp_path / "bad.pem", tmp_path / "none.pem"):
        with pytest.raises(ConfigurationError, match="INTERNAL_API_CA_FILE"):
            Backend(evolve(settings, base_url="https://backend.test/internal", ca_file=str(path)))

"""The wire: time, size, encoding, redirects, cookies, TLS, threads."""

import json
import os
import resource
import shutil
import ssl
import subprocess
import threading

import pytest
from attrs import evolve

from unstract_worker_core.backend import Backend, Interrupted, NotSent, PostAnswer, deadlines, post_once
from unstract_worker_core.backend.exchanges import AnswerRefused, Wanted
from unstract_worker_core.backend.transport import Transport, tls_context
from unstract_worker_core.errors import BackendUnavailable, ConfigurationError, UnexpectedAnswer

ORG = "org_alpha"
ID = "00000000-0000-0000-0000-000000000802"


@pytest.fixture
def transport():
    transport = Transport(None)
    yield transport
    transport.close()


def wanted(server, **changes):
    return evolve(Wanted("GET", server.url + "/x/", {"Accept-Encoding": "identity"}, 1000), **changes)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 O",
    ],
    ids=["body", "chunks", "headers", "status line"],
)
def test_bytes_that_trickle_are_cut_at_the_deadline(server, transport, head):
    server.answer(server.drip(head, b"1\r\n1\r\n" if b"chunked" in head else b"1"))
    with pytest.raises(Interrupted, match="ReadTimeout") as failure:
        transport.exchange(wanted(server), 0.3)
    assert failure.value.timed_out


def test_an_answer_that_takes_longer_than_one_read_is_waited_for(server, transport, monkeypatch):
    monkeypatch.setattr(deadlines, "_READ_SECONDS", 0.02)

    def slow(handler):
        assert not server.stopping.wait(0.2)
        server.sends({"came": "late"})(handler)

    server.answer(slow)
    assert json.loads(transport.exchange(wanted(server), 5.0).body) == {"came": "late"}


def test_slow_backend_frees_the_caller_within_the_budget(server, backend_with):
    backend = backend_with(timeout=0.1, total_timeout=1.0, retry_attempts=100)
    server.answer(server.drip(b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"))
    with pytest.raises(BackendUnavailable, match="no answer"):
        backend.usage.tokens(ORG, ID)
    assert 2 <= len(server.received) <= 10


def test_time_that_is_over_before_it_begins(server, transport):
    with pytest.raises(NotSent):
        transport.exchange(wanted(server), 0.0)
    server.answer(server.sends({}))
    transport.exchange(wanted(server), 5.0)
    with pytest.raises(Interrupted):
        transport.exchange(wanted(server), 0.0)


def test_a_large_request_arrives_whole(server, transport):
    server.answer(server.sends({}))
    transport.exchange(wanted(server, method="POST", content=b"x" * 1_000_000), 5.0)
    assert len(server.last.body) == 1_000_000


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_endless_answers_and_bombs_do_not_fill_memory(server, backend, encoding):
    server.answer(server.flood(encoding))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnexpectedAnswer, match="compressed" if encoding else "larger than 1048576 bytes"):
        backend.usage.tokens(ORG, ID)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert len(server.received) == 1
    assert grown_mb < 50


def test_an_answer_of_exactly_the_limit_is_read(server, transport):
    server.answer(server.raw(b"x" * 1000))
    assert len(transport.exchange(wanted(server), 5.0).body) == 1000
    server.answer(server.raw(b"x" * 1001))
    with pytest.raises(AnswerRefused, match="larger than 1000 bytes"):
        transport.exchange(wanted(server), 5.0)


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
    assert backend.open_clients == 2
    assert server.connections == 2
    backend.close()
    assert backend.open_clients == 0
    backend.files.list(ORG, ID)
    assert server.connections == 3
    leave.set()
    thread.join(10)


def test_a_forked_child_does_not_use_its_parents_connection(server, backend, monkeypatch):
    server.answer(server.sends([]))
    backend.files.list(ORG, ID)
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    backend.files.list(ORG, ID)
    assert server.connections == 2


# --- post_once


def test_post_once(server):
    server.answer(server.raw(b"thanks", 202))
    assert post_once(server.url + "/hook", b"{}", {"X-K": "v"}, timeout_seconds=5) == PostAnswer(202)
    sent = server.last
    assert (sent.method, sent.path, sent.body) == ("POST", "/internal/hook", b"{}")
    assert sent.headers["x-k"] == "v"
    assert sent.headers["connection"] == "close"


def test_post_once_goes_to_the_address_and_names_the_host(server):
    server.answer(server.status(200))
    url = f"http://hooks.example.test:{server.port}/x"
    assert post_once(url, b"", {}, timeout_seconds=5, address="127.0.0.1").status == 200
    assert server.last.headers["host"] == f"hooks.example.test:{server.port}"


def test_post_once_follows_nothing_and_reads_little(server):
    server.answer(server.raw(b"", 302, location=server.url))
    assert post_once(server.url, b"", {}, timeout_seconds=5).status == 302
    server.answer(server.flood(megabytes=50))
    assert post_once(server.url, b"", {}, timeout_seconds=5).status == 200
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
        assert post_once(server.url, b"", {}, timeout_seconds=5, body_limit=limit) == PostAnswer(200)
    finally:
        over.set()


def test_post_once_is_cut_at_its_deadline(server):
    server.answer(server.drip(b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"))
    with pytest.raises(Interrupted) as failure:
        post_once(server.url, b"", {}, timeout_seconds=0.3)
    assert failure.value.timed_out


def test_endless_headers_are_not_read_for_ever(server):
    server.answer(server.drip(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"y" * 8000 + b"\r\n", pause=0.0))
    with pytest.raises(Interrupted) as failure:
        post_once(server.url, b"", {}, timeout_seconds=20)
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
    with pytest.raises(NotSent):
        post_once(url.format(port=server.port), b"", headers, timeout_seconds=5)
    assert server.received == []


def test_nobody_listens(free_port):
    with pytest.raises(NotSent, match="refused"):
        post_once(f"http://127.0.0.1:{free_port}/", b"", {}, timeout_seconds=5)


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
    ("names", "dates", "trust", "told"),
    [
        ("IP:127.0.0.1", VALID, False, "self-signed"),
        ("IP:127.0.0.9", VALID, True, "mismatch"),
        ("IP:127.0.0.1", EXPIRED, True, "expired"),
    ],
)
def test_certificates_that_are_refused(server, certificate, secure_backend, names, dates, trust, told):
    backend = secure_backend(*certificate(names, *dates), trust=trust)
    with pytest.raises(BackendUnavailable, match=f"CERTIFICATE_VERIFY_FAILED.*{told}"):
        backend.files.list(ORG, ID)
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

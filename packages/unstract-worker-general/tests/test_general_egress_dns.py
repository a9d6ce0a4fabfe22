"""DNS that lies (W2): a server of our own answers, and the connection goes only to the address that was checked."""

import shutil
import socket
import ssl
import struct
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from unstract_worker_core.backend import post_once
from unstract_worker_general.webhooks import client

NAME = "hooks.example.test"
A, AAAA = 1, 28


class Dns:
    """A DNS server on loopback. `answers`: for each question of type A in turn, the last one for ever."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.answers, self.v6, self.asked = [["127.0.0.2"]], [], []
        self.go = threading.Event()
        self.go.set()
        self.closing = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            question, peer = self.socket.recvfrom(512)
            if self.closing:
                return
            self.go.wait(30)
            kind = struct.unpack("!H", question[-4:-2])[0]
            if kind == A:
                self.asked.append(kind)
                found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            else:
                found = self.v6
            self.socket.sendto(self.answer(question, kind, found), peer)

    def answer(self, question, kind, found):
        records = b""
        for text in found:
            data = socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, text)
            records += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(data)) + data  # a TTL of 0
        return question[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0) + question[12:] + records

    def close(self):
        self.closing = True
        self.go.set()
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join(10)
        self.socket.close()

    def resolve(self, host):
        """A resolver that asks this server, for both sorts of addresses."""
        return [text for kind in (A, AAAA) for text in self.ask(host, kind)]

    def ask(self, host, kind):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(30)
            labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split("."))
            question = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)
            client.sendto(question, self.socket.getsockname())
            reply = client.recv(512)
        family, size = (socket.AF_INET, 4) if kind == A else (socket.AF_INET6, 16)
        (count,) = struct.unpack("!H", reply[6:8])
        records = reply[len(question) :]
        step = 12 + size
        return [socket.inet_ntop(family, records[at + 12 : at + step]) for at in range(0, count * step, step)]


class Sink(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append(self.headers["Host"])
        if self.server.status == 0:
            self.close_connection = True
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        """Quiet."""


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    status = 200

    def handle_error(self, request, client_address):
        """Quiet: clients refuse certificates."""


@pytest.fixture
def dns():
    dns = Dns()
    yield dns
    dns.close()


def pair():
    for _ in range(50):
        good = Listener(("127.0.0.2", 0), Sink)
        try:
            return good, Listener(("127.0.0.1", good.server_port), Sink)
        except OSError:  # the port is in use on the other address
            good.server_close()
    raise AssertionError("no port is free on both addresses")


@pytest.fixture
def sinks(webhooks, dns):
    """The same port twice: on 127.0.0.2, which is allowed and so as good as public, and on 127.0.0.1, which is not."""
    good, bad = pair()
    for each in (good, bad):
        each.posts = []
        threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    webhooks.allow(allowed_networks=("127.0.0.2/32",))
    webhooks.resolve(dns.resolve)
    yield good, bad
    for each in (good, bad):
        each.shutdown()
        each.server_close()


def url(sink, scheme="http"):
    return f"{scheme}://{NAME}:{sink.server_port}/x"


def test_w2_a_name_that_changes_its_mind_after_the_check_changes_nothing(webhooks, dns, sinks):
    good, bad = sinks
    dns.answers = [["127.0.0.2"], ["127.0.0.1"]]
    run = webhooks.send(url(good))
    assert webhooks.final(run) == {"delivery": "delivered", "attempts": 1}
    assert (good.posts, bad.posts) == ([f"{NAME}:{good.server_port}"], [])
    assert len(dns.asked) == 1


def test_w2_every_try_asks_again(rig, webhooks, dns, sinks):
    good, bad = sinks
    good.status = 500
    dns.answers = [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.2"]]
    run = webhooks.send(url(good), max_retries=2)
    assert webhooks.deliver(run)
    assert rig.meta(run)["last_error"].startswith("refused: the address is not public: loopback (127.0.0.0/8)")
    good.status = 200
    assert webhooks.deliver(run)
    assert webhooks.final(run) == {"delivery": "delivered", "attempts": 3}
    assert (len(good.posts), bad.posts, len(dns.asked)) == (2, [], 3)


@pytest.mark.parametrize(
    ("four", "six"),
    [
        (["127.0.0.2", "127.0.0.1"], []),
        (["127.0.0.1", "127.0.0.2"], []),
        (["127.0.0.2"], ["::1"]),
        (["127.0.0.2"], ["::ffff:127.0.0.1"]),
        (["127.0.0.2"], ["64:ff9b::7f00:1"]),
        (["127.0.0.2"], ["fe80::1"]),
    ],
)
def test_w2_mixed_answers_are_refused_whole(webhooks, dns, sinks, four, six):
    good, bad = sinks
    dns.answers, dns.v6 = [four], six
    webhooks.send(url(good))
    assert "refused: the address is not public: " in webhooks.letter().reason
    assert (good.posts, bad.posts) == ([], [])


def test_w2_a_server_that_does_not_answer_costs_the_delivery_its_own_time(webhooks, dns, sinks):
    good, _ = sinks
    dns.go.clear()
    webhooks.send(url(good), timeout=0.3)
    assert webhooks.letter().reason.endswith("no connection (the host name was not resolved in time)")
    assert good.posts == []


def test_w2_another_checked_address_is_asked_when_one_takes_no_connection(webhooks, dns, sinks):
    good, bad = sinks
    webhooks.allow(allowed_networks=("127.0.0.2/31",))
    dns.answers = [["127.0.0.3", "127.0.0.2"]]
    run = webhooks.send(url(good))
    assert webhooks.final(run) == {"delivery": "delivered", "attempts": 1}
    assert (len(good.posts), bad.posts) == (1, [])


def test_the_address_that_worked_comes_first_the_next_time(webhooks, dns, sinks, monkeypatch):
    """F19: the first address of the name swallows packets; only the first delivery waits for it."""
    good, _ = sinks
    tried = []

    def post(url, content, headers, limits, *, address, **more):
        tried.append((address, limits.connect_seconds))
        return post_once(url, content, headers, limits, address=address, **more)

    monkeypatch.setattr(client, "post_once", post)
    webhooks.allow(allowed_networks=("127.0.0.2/31",))
    dns.answers = [["127.0.0.3", "127.0.0.2"]]
    for _ in range(2):
        webhooks.send(url(good))
    assert [address for address, _ in tried] == ["127.0.0.3", "127.0.0.2", "127.0.0.2"]
    assert tried[0][1] < 3.1
    assert len(good.posts) == 2


@pytest.mark.parametrize(
    ("status", "reason"),
    [(500, "HTTP 500"), (0, "no response (the connection was closed before the response was whole)")],
    ids=["answers", "breaks off"],
)
def test_w2_no_other_address_is_asked_once_it_was_posted(webhooks, dns, sinks, status, reason):
    good, bad = sinks
    good.status = status
    webhooks.allow(allowed_networks=("127.0.0.0/8",))
    dns.answers = [["127.0.0.2", "127.0.0.1"]]
    webhooks.send(url(good))
    assert webhooks.letter().reason.endswith(reason)
    assert (len(good.posts), len(bad.posts)) == (1, 0)


# --- TLS: the name is the URL's, the address the checked one


@pytest.fixture
def secure(sinks, tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    good, _ = sinks
    asked = []

    def make(name):
        names = ["-subj", "/CN=x", "-addext", f"subjectAltName={name}"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"]
        command = [openssl, "req", "-x509", *key, "-out", "cert.pem", "-days", "30", *names]
        subprocess.run(command, check=True, capture_output=True, timeout=30, cwd=tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        context.sni_callback = lambda _socket, reported, _context: asked.append(reported)
        good.socket = context.wrap_socket(good.socket, server_side=True, do_handshake_on_connect=False)
        return str(tmp_path / "cert.pem"), asked

    return make


@pytest.mark.parametrize(("certified", "taken"), [(f"DNS:{NAME}", True), ("IP:127.0.0.2", False)])
def test_w2_the_certificate_is_checked_against_the_urls_name(webhooks, sinks, secure, certified, taken):
    good, _ = sinks
    file, asked = secure(certified)
    webhooks.allow(allowed_networks=("127.0.0.2/32",), ca_file=file)
    run = webhooks.send(url(good, "https"))
    assert asked == [NAME]
    assert webhooks.final(run) == {"delivery": "delivered" if taken else "dead", "attempts": 1}
    assert good.posts == ([f"{NAME}:{good.server_port}"] if taken else [])
    if not taken:
        assert webhooks.letter().reason.endswith("no connection (certificate refused)")


def test_certificates_that_cannot_be_read_are_told(webhooks, sinks, tmp_path):
    good, _ = sinks
    (tmp_path / "ca.pem").write_text("no certificate")
    webhooks.allow(allowed_networks=("127.0.0.2/32",), ca_file=str(tmp_path / "ca.pem"))
    webhooks.send(url(good, "https"))
    assert webhooks.letter().reason.endswith("no connection (WEBHOOK_CA_FILE cannot be read)")

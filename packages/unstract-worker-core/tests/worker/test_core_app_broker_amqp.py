"""An AMQP connection whose broker falls silent within a frame: its reader gets an error, and no received byte is lost."""

import contextlib
import select
import socket
import ssl
import struct
import threading

import pytest

from unstract_devstack.certificates import make_certificates
from unstract_worker_core.config import BrokerSettings, Secret
from unstract_worker_core.worker.broker import BoundedTransport, publishing_connection

FRAME = struct.pack(">BHI", 1, 7, 5) + b"hello" + b"\xce"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def accepted(listener, certificates):
    """The broker's end of the next connection. Without tickets, what is readable first is what the test sends."""
    broker, _ = listener.accept()
    if certificates is None:
        return broker
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    context.num_tickets = 0
    return context.wrap_socket(broker, server_side=True)


@pytest.fixture(params=["amqp", "amqps"])
def reading(request):
    """A transport of a connection, and the socket of who speaks to it."""
    certificates = request.getfixturevalue("certificates") if request.param == "amqps" else None
    tls = {"ca_certs": str(certificates.authority), "cert_reqs": ssl.CERT_REQUIRED} if certificates else False
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    connection = BoundedTransport.Connection(host=f"{host}:{port}", read_timeout=0.2, write_timeout=5)
    transport = connection.Transport(f"{host}:{port}", 5, tls, 0.2, 5, socket_settings=None)
    brokers = []
    other = threading.Thread(target=lambda: brokers.append(accepted(listener, certificates)))
    other.start()
    transport.connect()
    other.join()
    transport.sock.settimeout(transport.sock.gettimeout() and 0.2)  # over TLS py-amqp leaves the time for connecting
    (broker,) = brokers
    assert broker.recv(8) == b"AMQP\x00\x00\x09\x01"
    yield transport, broker
    broker.close()
    transport.close()
    listener.close()


@pytest.mark.parametrize("timeout", [0, 0.1, None], ids=["never waits", "waits", "as long as the socket waits"])
@pytest.mark.parametrize("arrived", range(len(FRAME)))
def test_a_frame_of_which_a_part_came_is_read_on_when_the_rest_comes(reading, arrived, timeout):
    transport, broker = reading
    if arrived:
        broker.sendall(FRAME[:arrived])
        assert select.select([transport.sock], [], [], 10)[0]
    with pytest.raises(TimeoutError), transport.having_timeout(timeout):
        transport.read_frame()
    broker.sendall(FRAME[arrived:] + FRAME)
    for _ in range(2):
        with transport.having_timeout(5):
            assert transport.read_frame() == (1, 7, b"hello")


class Names:
    """A TLS port that notes which server name each client asks for, and hangs up."""

    def __init__(self, certificates):
        self.asked = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates.certificate, certificates.key)
        self.context.sni_callback = lambda connection, name, context: self.asked.append(name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                with contextlib.suppress(OSError), peer, self.context.wrap_socket(peer, server_side=True):
                    pass


@pytest.fixture
def names(certificates):
    made = Names(certificates)
    yield made
    made.listener.close()


@pytest.mark.parametrize(
    ("hosts", "asked"),
    [
        (("a.test:1", "b.test:{port}"), {"b.test"}),
        (("a.test:{port}", "b.test:{port}"), {"a.test", "b.test"}),
        (("localhost:{port}",), {"localhost"}),
    ],
)
def test_a_certificate_is_checked_against_the_broker_that_is_connected_to(
    names, certificates, monkeypatch, hosts, asked
):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **options: resolve("127.0.0.1" if host.endswith(".test") else host, *more, **options),
    )
    url = ";".join(f"amqps://u:p@{host.format(port=names.port)}//" for host in hosts)
    broker = BrokerSettings(url=Secret(url), ca_file=str(certificates.authority))
    for _ in range(2):  # kombu goes on to the next one, and comes back
        with publishing_connection(broker) as connection, contextlib.suppress(Exception):
            connection.default_channel.close()
    assert set(names.asked) == asked

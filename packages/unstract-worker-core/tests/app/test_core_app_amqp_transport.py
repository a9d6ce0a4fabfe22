"""An AMQP connection whose broker falls silent within a frame: its reader is told, and nothing that came is lost."""

import socket
import struct

import pytest

from unstract_worker_core.app.amqp_transport import BoundedTransport

FRAME = struct.pack(">BHI", 1, 7, 5) + b"hello" + b"\xce"


@pytest.fixture
def reading():
    """A transport of a connection, and the socket of who speaks to it."""
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    connection = BoundedTransport.Connection(host=f"{host}:{port}", read_timeout=0.2, write_timeout=5)
    transport = connection.Transport(f"{host}:{port}", 5, False, 0.2, 5, socket_settings=None)
    transport.connect()
    broker, _ = listener.accept()
    assert broker.recv(8) == b"AMQP\x00\x00\x09\x01"
    yield transport, broker
    transport.close()
    broker.close()
    listener.close()


@pytest.mark.parametrize("timeout", [0, 0.1, None], ids=["never waits", "waits", "as long as the socket waits"])
@pytest.mark.parametrize("arrived", range(len(FRAME)))
def test_a_frame_of_which_a_part_came_is_read_on_when_the_rest_comes(reading, arrived, timeout):
    transport, broker = reading
    broker.sendall(FRAME[:arrived])
    if arrived:
        assert transport.sock.recv(arrived, socket.MSG_PEEK | socket.MSG_WAITALL) == FRAME[:arrived]
    with pytest.raises(TimeoutError), transport.having_timeout(timeout):
        transport.read_frame()
    broker.sendall(FRAME[arrived:] + FRAME)
    for _ in range(2):
        with transport.having_timeout(5):
            assert transport.read_frame() == (1, 7, b"hello")

"""Calls on sockets that cannot wait, and waiting whose time the kernel keeps."""

import socket

import pytest

from unstract_worker_core.sockets import bound_by_kernel, limit_read, limit_write, send_now, silent


class Wrapped(socket.socket):
    """Stands for a socket of TLS: its calls are not the kernel's."""


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def wrapped(pair):
    with Wrapped(fileno=pair[0].detach()) as sock:
        sock.settimeout(5.0)
        yield sock


def test_what_fits_is_sent(pair):
    ours, theirs = pair
    assert send_now(ours, b"hel\x00lo") == 6
    assert theirs.recv(100) == b"hel\x00lo"


def test_a_full_buffer_takes_a_part_or_nothing_and_nobody_waits(pair):
    ours, theirs = pair
    sent, piece = 0, b"x" * 50_000
    while (taken := send_now(ours, piece)) == len(piece):
        sent += taken
    sent += taken
    assert send_now(ours, piece) == 0
    ours.close()
    received = 0
    while content := theirs.recv(1 << 16):
        received += len(content)
    assert received == sent


def test_what_is_wrong_is_left_to_the_call_that_can_tell(pair):
    ours, theirs = pair
    theirs.close()
    assert send_now(ours, b"x") == 0
    with pytest.raises(BrokenPipeError):
        ours.sendall(b"x")


def test_large_content_is_left_to_the_call_that_gives_the_interpreter_away(pair):
    assert send_now(pair[0], b"x" * (64 * 1024 + 1)) == 0


def test_a_connection_is_silent_until_something_comes_or_it_ends(pair):
    ours, theirs = pair
    assert silent(ours)
    theirs.send(b"x")
    assert not silent(ours)
    assert ours.recv(10) == b"x"  # a look takes nothing
    assert silent(ours)
    theirs.close()
    assert not silent(ours)


def test_a_connection_that_was_reset_is_not_silent():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        ours.send(b"never read")
        theirs.recv(1)
        theirs.close()  # with something unread: a reset
        ours.settimeout(5)
        with pytest.raises(ConnectionResetError):
            ours.recv(1)
        assert not silent(ours)


def test_the_kernel_keeps_the_time(pair):
    ours, _ = pair
    assert bound_by_kernel(ours)
    limit_read(ours, 0.01)
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    limit_write(ours, 0.01)
    with pytest.raises(BlockingIOError):
        ours.sendall(b"x" * 10_000_000)


def test_a_socket_of_tls_keeps_pythons_time(pair, wrapped):
    _, theirs = pair
    assert not bound_by_kernel(wrapped)
    limit_read(wrapped, 0.01)
    with pytest.raises(TimeoutError):
        wrapped.recv(1)
    assert send_now(wrapped, b"x") == 0
    assert silent(wrapped)
    theirs.send(b"x")
    assert not silent(wrapped)

"""A port is given out only once until a server has it."""

import socket
import subprocess
import sys

import pytest

from unstract_devstack import ports
from unstract_devstack.ports import free_port

ASK = """
import sys
from unstract_devstack import ports
ports._PORTS = range(*map(int, sys.argv[1:]))
print(ports.free_port())
"""


def asked_elsewhere(port: int) -> subprocess.CompletedProcess[str]:
    """Another process asks for a port, and there is only this one to have."""
    return subprocess.run(
        [sys.executable, "-c", ASK, str(port), str(port + 1)], capture_output=True, text=True, check=False
    )


def test_a_server_can_have_it() -> None:
    with socket.create_server((ports.HOST, free_port())) as server:
        assert server.getsockname()[1] < 32_768  # what Linux gives to outgoing connections begins here


def test_nobody_else_gets_it_here(monkeypatch: pytest.MonkeyPatch) -> None:
    given = free_port()
    monkeypatch.setattr(ports, "_PORTS", range(given, given + 1))
    with pytest.raises(OSError, match=f"no free port between {given} and {given}"):
        free_port()


def test_nobody_else_gets_it_in_another_process() -> None:
    refused = asked_elsewhere(free_port())
    assert (refused.returncode, refused.stderr.splitlines()[-1][:22]) == (1, "OSError: no free port ")


def test_one_that_a_server_listens_on_is_not_free() -> None:
    given = free_port()
    ports._kept.pop().close()
    with socket.create_server((ports.HOST, given)):
        assert "OSError: no free port " in asked_elsewhere(given).stderr


def test_a_process_that_ended_keeps_none() -> None:
    given = free_port()
    ports._kept.pop().close()
    for _ in range(2):
        assert asked_elsewhere(given).stdout == f"{given}\n"

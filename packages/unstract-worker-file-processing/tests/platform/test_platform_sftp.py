"""SFTP connectors against a server: what is read and written, and what a refusal and a missing folder mean."""

import hashlib
from contextlib import closing

import pytest

from unstract_devstack.ports import free_port
from unstract_worker_core.backend.workflows import ConnectedEnd, ConnectedWorkflow, ConnectorInstance
from unstract_worker_file_processing.executor import FileFailed, NotNow
from unstract_worker_file_processing.platform.connectors import destination_of, source_of
from unstract_worker_file_processing.platform.stores import copy_hashed

from .sftp_server import PASSWORD, USER, running_sftp


@pytest.fixture
def remote(tmp_path):
    with running_sftp(tmp_path) as port:
        yield port


def workflow(port, **changes):
    settings = {"host": "127.0.0.1", "port": port, "username": USER, "password": PASSWORD} | changes
    end = ConnectedEnd("FILESYSTEM", {"outputFolder": "/out/of/this"}, ConnectorInstance("sftp|id", "mine", settings))
    return ConnectedWorkflow(end, end)


def test_a_file_is_read_and_its_result_is_written_over_what_is_there(remote, tmp_path, s3):
    content = bytes(range(256)) * 4096
    (tmp_path / "größer.pdf").write_bytes(content)
    destination = destination_of(workflow(remote))

    copied = copy_hashed(source_of(workflow(remote)), "/größer.pdf", s3, "unstract/sftp", timeout_seconds=30)
    destination.check()
    destination.check()
    destination.write_json("größer.json", {"before": "and longer"})
    destination.write_json("größer.json", {"a": 1})

    assert (copied.size, copied.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert b"".join(s3.chunks("unstract/sftp")) == content
    assert (tmp_path / "out/of/this/größer.json").read_text() == '{"a":1}'


def test_a_file_that_is_not_there_and_a_password_that_is_refused_end_the_file(remote):
    with pytest.raises(FileFailed, match=r"gone\.pdf is not in the source"):
        list(source_of(workflow(remote)).chunks("/gone.pdf"))
    with pytest.raises(FileFailed, match="the source refuses access with the connector's credentials") as caught:
        list(source_of(workflow(remote, password="wrong")).chunks("/a.pdf"))
    with pytest.raises(FileFailed, match="the destination refuses access") as refused:
        destination_of(workflow(remote, password="wrong")).check()

    assert refused.value.destination
    assert "wrong" not in str(caught.value)


def test_a_server_that_is_away_puts_the_file_off():
    with pytest.raises(NotNow, match="the source cannot be used now") as caught:
        list(source_of(workflow(free_port())).chunks("/a.pdf"))

    assert not caught.value.shared


def test_a_connection_is_closed_with_its_store(remote, tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"x")
    source = source_of(workflow(remote))
    with closing(source):
        assert list(source.chunks("/a.pdf")) == [b"x"]
        transport = source._system().client.get_transport()

    transport.join(10)
    assert not transport.is_alive()

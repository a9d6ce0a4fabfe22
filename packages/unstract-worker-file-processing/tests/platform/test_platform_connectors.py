"""Connectors of ETL workflows: which are opened, and what the others are told."""

import pytest

from unstract_worker_core.backend.workflows import ConnectedEnd, ConnectedWorkflow, ConnectorInstance
from unstract_worker_file_processing.executor import FileFailed
from unstract_worker_file_processing.platform.connectors import destination_of, source_of
from unstract_worker_file_processing.platform.stores import Store

SECRET = "canary-of-a-connector"


def workflow(kind, settings):
    connector = ConnectorInstance(f"{kind}|id", "mine", settings)
    end = ConnectedEnd("FILESYSTEM", {"outputFolder": "/out/"}, connector)
    return ConnectedWorkflow(end, end)


@pytest.fixture
def installed(monkeypatch):
    """As if every extra were."""
    monkeypatch.setattr(Store, "missing_extra", lambda self: None)


@pytest.mark.parametrize(
    ("kind", "settings", "protocol", "options", "folder"),
    [
        ("gcs", {"token": {"type": "x"}, "connectorName": "mine"}, "gcs", {"token": {"type": "x"}}, "out"),
        (
            "azure", {"account_name": "a", "account_key": SECRET}, "abfs",
            {"account_name": "a", "account_key": SECRET}, "out",
        ),
        ("sftp", {"host": "h", "port": "2222"}, "sftp", {"host": "h", "port": 2222}, "/out"),
        ("sftp", {"host": "h", "password": SECRET}, "sftp", {"host": "h", "port": 22, "password": SECRET}, "/out"),
        ("local", {}, "file", {"auto_mkdir": True}, "/out"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("installed")
def test_a_store_is_opened_by_the_names_of_fsspecs_parameters(kind, settings, protocol, options, folder):
    source, destination = source_of(workflow(kind, settings)), destination_of(workflow(kind, settings))

    assert (source.protocol, source.options) == (protocol, options)
    assert destination.path_of("x/COPY_TO_FOLDER/a.json") == f"{folder}/a.json"


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        ("somewhere", {}, "is a somewhere, which this executor does not open .*own file workers"),
        ("gcs", {"other": SECRET}, r"without the settings token \(there are: other\).*own file workers"),
        ("azure", {"account_name": "a"}, r"without the settings account_key \(there are: account_name\)"),
        ("sftp", {"host": "h", "port": "ftp"}, "port is no number"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_a_connector_that_is_not_known_is_refused_with_its_settings_names(kind, settings, told):
    with pytest.raises(FileFailed, match=told) as caught:
        source_of(workflow(kind, settings))

    assert SECRET not in str(caught.value)


def test_a_store_whose_extra_is_not_installed_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr("unstract_worker_file_processing.platform.stores.find_spec", lambda module: None)

    with pytest.raises(FileFailed, match=r"needs unstract-worker-file-processing\[gcs\]"):
        source_of(workflow("gcs", {"token": SECRET}))

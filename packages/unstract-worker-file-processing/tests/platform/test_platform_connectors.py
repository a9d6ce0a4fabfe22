"""Connectors of ETL workflows: which are opened, and how the others are refused."""

import threading
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from structlog.testing import capture_logs

from unstract_devstack.executor.storage import minio
from unstract_worker_core.backend.workflows import ConnectedEnd, ConnectedWorkflow, ConnectorInstance
from unstract_worker_core.config.parsers import store
from unstract_worker_file_processing.executor import FileFailed, NotNow
from unstract_worker_file_processing.platform.connectors import Destination, destination_of, source_of
from unstract_worker_file_processing.platform.stores import Store, store_of

SECRET = "canary-of-a-connector"
# No key of the worker's own, and no server that is silent for ever.
SFTP = {
    "allow_agent": False, "look_for_keys": False,
    "timeout": 10.0, "banner_timeout": 10.0, "auth_timeout": 10.0, "channel_timeout": 10.0,
}  # fmt: skip


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
        ("sftp", {"host": "h", "port": "2222"}, "sftp", {**SFTP, "host": "h", "port": 2222}, "/out"),
        (
            "sftp", {"host": "h", "password": SECRET}, "sftp",
            {**SFTP, "host": "h", "port": 22, "password": SECRET}, "/out",
        ),
        ("local", {}, "file", {"auto_mkdir": True}, "/out"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("installed")
def test_a_store_is_opened_by_the_names_of_fsspecs_parameters(kind, settings, protocol, options, folder):
    source, destination = source_of(workflow(kind, settings)), destination_of(workflow(kind, settings))

    assert (source.protocol, source.options) == (protocol, options)
    assert destination.path_of("x/COPY_TO_FOLDER/a.json") == f"{folder}/a.json"


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("somewhere", {}, "is a somewhere, which this executor does not open .*own file workers"),
        ("gcs", {"other": SECRET}, r"without the settings token \(there are: other\).*own file workers"),
        ("azure", {"account_name": "a"}, r"without the settings account_key \(there are: account_name\)"),
        ("sftp", {"host": "h", "port": "ftp"}, "port is no number"),
        ("sftp", {"host": "h", "port": "²"}, "port is no number"),
        (
            "s3",
            {"endpoint_url": "http://h", "key": "k"},
            r"without the settings secret \(there are: endpoint_url, key\)",
        ),
        ("minio", {"key": "", "secret": SECRET}, "without the settings key"),
        ("gcs", {"token": "google_default"}, "token is not an object"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_a_connector_that_is_not_known_is_refused_with_its_settings_names(kind, settings, expected):
    with pytest.raises(FileFailed, match=expected) as caught:
        source_of(workflow(kind, settings))

    assert SECRET not in str(caught.value)


def test_a_store_whose_extra_is_not_installed_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr("unstract_worker_file_processing.platform.stores.find_spec", lambda module: None)

    with pytest.raises(FileFailed, match=r"needs unstract-worker-file-processing\[gcs\]"):
        source_of(workflow("gcs", {"token": {"private_key": SECRET}}))


@contextmanager
def s3_that_answers(status, code):
    """A server that answers so to everything, as S3 does."""
    body = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = {"endpoint_url": f"http://127.0.0.1:{server.server_port}", "key": "k", "secret": SECRET}
        yield workflow("minio", settings), minio(settings["endpoint_url"], secret=SECRET)
        server.shutdown()


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_a_customers_connector_that_is_refused_ends_the_file_and_the_platforms_own_store_puts_it_off(code):
    with s3_that_answers(403, code) as (ends, described):
        with pytest.raises(FileFailed, match="the source refuses access with the connector's credentials") as source:
            list(source_of(ends).chunks("bucket/a.pdf"))
        with pytest.raises(FileFailed, match="the destination refuses access") as destination:
            destination_of(ends).write_json("a.json", {})
        with capture_logs() as logged, pytest.raises(NotNow, match="cannot be used now") as ours:
            list(store_of(store(described), "the store of uploads").chunks("unstract/a.pdf"))

    assert (source.value.destination, destination.value.workflow) == ("", "")
    assert ours.value.shared
    assert logged[-1]["log_level"] == "error"
    assert SECRET not in f"{source.value} {destination.value} {ours.value} {logged}"


@pytest.mark.parametrize("status", [500, 503])
def test_a_customers_connector_that_fails_is_put_off_and_counts_against_nobody_else(status):
    with s3_that_answers(status, "InternalError") as (ends, _), pytest.raises(NotNow, match="the source") as caught:
        list(source_of(ends).chunks("bucket/a.pdf"))

    assert not caught.value.shared
    assert caught.value.delay_seconds >= 30


def test_our_own_clock_is_no_fault_of_a_customers_connector():
    with s3_that_answers(403, "RequestTimeTooSkewed") as (ends, _):
        for step in (destination_of(ends).check, lambda: destination_of(ends).write_json("a.json", {})):
            with pytest.raises(NotNow):
                step()


@pytest.mark.parametrize(
    ("code", "refused"), [("InvalidAccessKeyId", True), ("SignatureDoesNotMatch", True), ("AccessDenied", False)]
)
def test_a_destination_is_refused_before_for_a_wrong_key_but_not_where_it_may_not_be_listed(code, refused):
    with s3_that_answers(403, code) as (ends, _), pytest.raises(FileFailed) if refused else nullcontext():
        destination_of(ends).check()


def test_a_folder_of_a_destination_is_made_before_anything_is_executed(tmp_path):
    Destination(Store("the destination", "file", {"auto_mkdir": True}, of_customer=True), f"{tmp_path}/a/out").check()

    assert (tmp_path / "a" / "out").is_dir()

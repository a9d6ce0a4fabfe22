"""Stores: what is copied, how much memory that takes, and what errors show."""

import hashlib
import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from structlog.testing import capture_logs

from unstract_devstack.executor.storage import minio
from unstract_devstack.ports import free_port
from unstract_worker_core.config.parsers import store
from unstract_worker_file_processing.executor import FileFailed, NotNow
from unstract_worker_file_processing.platform.store_drivers import BucketMissing
from unstract_worker_file_processing.platform.stores import Store, copy_hashed, folder, store_of

SECRET = "canary-7d1f"


@pytest.fixture(params=["folder", "s3"])
def kept(request, tmp_path):
    return folder("the store", str(tmp_path)) if request.param == "folder" else request.getfixturevalue("s3")


@pytest.fixture
def away():
    described = {"endpoint_url": f"http://127.0.0.1:{free_port()}", "key": "key", "secret": SECRET}
    return store_of(store(json.dumps({"provider": "minio", "credentials": described})), "the store of uploads")


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 11 * 1024 * 1024 + 7])
def test_a_copy_is_the_same_and_its_hash_is_taken(kept, s3, size):
    content = bytes(size)
    kept.write("unstract/a/SOURCE", content)

    copied = copy_hashed(kept, "unstract/a/SOURCE", s3, "unstract/b/SOURCE", timeout_seconds=60)
    s3.duplicate("unstract/b/SOURCE", "unstract/b/INFILE")

    assert (copied.sha256, copied.size) == (hashlib.sha256(content).hexdigest(), size)
    assert b"".join(s3.chunks("unstract/b/INFILE")) == content


def test_json_is_written_over_what_is_there_and_what_is_none_reads_as_nothing(kept):
    kept.write_json("unstract/METADATA.json", {"a": 1})
    kept.write_json("unstract/METADATA.json", {"b": "ü"})
    kept.write("unstract/broken.json", b"{")

    assert kept.read_json("unstract/METADATA.json") == {"b": "ü"}
    assert kept.read_json("unstract/broken.json") is None
    assert kept.read_json("unstract/nothing.json") is None


def test_a_file_that_is_not_there_is_the_files_fault(kept, s3):
    kept.write("unstract/there.pdf", b"x")
    with pytest.raises(FileFailed, match=r"gone\.pdf is not in the store"):
        copy_hashed(kept, "unstract/gone.pdf", s3, "unstract/x", timeout_seconds=5)


def test_in_one_store_for_both_a_missing_file_and_a_missing_bucket_are_distinguished(object_store):
    uploads = store_of(store(object_store.variable), "the store of uploads")
    files = store_of(store(object_store.variable), "the store of executions")
    uploads.write("unstract/there.pdf", b"x")

    with pytest.raises(FileFailed, match=r"gone\.pdf is not in the store of uploads"):
        copy_hashed(uploads, "unstract/gone.pdf", files, "unstract/x", timeout_seconds=5)
    with pytest.raises(BucketMissing, match="there is no no-bucket in the store of executions"):
        copy_hashed(uploads, "unstract/there.pdf", files, "no-bucket/x", timeout_seconds=5)


def test_a_store_that_is_away_is_nobodys_fault_and_shows_no_credentials(away, s3):
    with capture_logs() as logged, pytest.raises(NotNow) as caught:
        away.write("unstract/a", b"x")
    with pytest.raises(NotNow, match="the store of uploads"):
        copy_hashed(away, "unstract/a", s3, "unstract/b", timeout_seconds=5)
    s3.write("unstract/there", b"x")
    with pytest.raises(NotNow, match="the store of uploads"):
        copy_hashed(s3, "unstract/there", away, "unstract/b", timeout_seconds=5)

    shown = f"{caught.value!r} {away!r} {logged}"
    assert SECRET not in shown
    assert "127.0.0.1" not in shown


def test_a_copy_that_takes_too_long_is_put_off(tmp_path, s3):
    kept = folder("the source", str(tmp_path))
    kept.write("a", bytes(2 * 1024 * 1024))

    with pytest.raises(NotNow, match="took longer"):
        copy_hashed(kept, "a", s3, "unstract/slow", timeout_seconds=0)


def test_a_stores_place_has_no_credentials(tmp_path):
    described = {"endpoint_url": f"http://user:{SECRET}@minio:9000", "key": "key", "secret": SECRET}
    s3 = store_of(store(json.dumps({"provider": "minio", "credentials": described})), "the store")

    assert (s3.location, folder("a folder", str(tmp_path)).location) == ("minio:9000", str(tmp_path))
    assert store_of(store('{"provider": "gcs", "credentials": {}}'), "a store").location == "gcs"


def test_a_probe_leaves_nothing(kept):
    kept.probe("unstract/probe/of-check")

    assert not kept._system().exists("unstract/probe/of-check")


def test_a_probe_of_a_store_that_is_silent_ends_at_its_bound():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        credentials = {"endpoint_url": endpoint, "key": "key", "secret": SECRET}
        s3 = store_of(store(json.dumps({"provider": "minio", "credentials": credentials})), "the store")
        for probe in (s3.probe, s3.look):
            with pytest.raises(NotNow, match="FSTimeoutError"):
                probe("unstract/a", seconds=0.5)


def test_a_missing_bucket_of_the_platform_is_no_files_fault(s3):
    for step in (lambda: s3.write("no-bucket/a", b"x"), lambda: list(s3.chunks("no-bucket/a"))):
        with pytest.raises(NotNow, match="there is no no-bucket in the store") as caught:
            step()
        assert caught.value.shared


@pytest.mark.parametrize("path", ["unstract/../etc/passwd", "..", "unstract/a/..", "/..//a", "unstract/a\0"])
def test_a_path_that_leads_out_of_its_folder_is_refused_with_its_name(kept, s3, path):
    for step in (
        lambda: kept.write(path, b"x"),
        lambda: list(kept.chunks(path)),
        lambda: kept.duplicate("unstract/there", path),
        lambda: copy_hashed(kept, path, s3, "unstract/x", timeout_seconds=5),
    ):
        with pytest.raises(FileFailed, match="leads out of its folder") as caught:
            step()
        assert repr(path) in str(caught.value)


def test_a_link_that_leads_out_of_its_folder_is_seen(tmp_path):
    kept = folder("the store", str(tmp_path))
    kept.write("own/a", b"x")
    kept.write("other", b"x")
    (tmp_path / "own" / "link").symlink_to(tmp_path / "other")

    assert [kept.is_within(path, "own") for path in ("own/a", "/own//a", "own/link", "other")] == [
        True,
        True,
        False,
        False,
    ]


def test_the_hash_is_of_the_copy_when_the_original_changes_meanwhile(s3, monkeypatch):
    s3.write("unstract/changing", b"before")
    copied = Store.duplicate

    def then_changed(store, path, other, **named):
        copied(store, path, other, **named)
        store.write(path, b"after")

    monkeypatch.setattr(Store, "duplicate", then_changed)

    found = copy_hashed(s3, "unstract/changing", s3, "unstract/copy", timeout_seconds=5)

    assert found.sha256 == hashlib.sha256(b"".join(s3.chunks("unstract/copy"))).hexdigest()


NAMES = [
    "Rechnung größer ✓.pdf",
    "100% of a+b & c#d?.pdf",
    "a [1] {x} *.pdf",
    "発注書.xlsx",
    " blank .pdf",
    "a%2e%2e%2fb",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_copied_within_a_store_and_across(kept, s3, name):
    kept.write(f"unstract/{name}", name.encode())

    copied = copy_hashed(kept, f"unstract/{name}", s3, f"unstract/to/{name}", timeout_seconds=5)

    assert copied.size == len(name.encode())
    assert b"".join(s3.chunks(f"unstract/to/{name}")) == name.encode()


@pytest.mark.parametrize("cut", ["before", "within"])
def test_a_file_whose_sending_is_cut_is_sent_again_whole(cut):
    content, written = bytes(range(256)) * 8192, []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        puts = 0

        def do_PUT(self):
            Handler.puts += 1
            if Handler.puts == 1:
                self.rfile.read(0 if cut == "before" else len(content) // 2)
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            written.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cutting = store_of(store(minio(f"http://127.0.0.1:{server.server_port}", secret=SECRET)), "the store")
        with cutting.writing("unstract/cut") as writer:
            writer.write(content)
        server.shutdown()

    assert (Handler.puts, written) == (2, [content])


PROGRAM = """
import sys, threading
from pathlib import Path
from unstract_worker_core.config.parsers import store
from unstract_worker_file_processing.platform.stores import copy_hashed, folder, store_of

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

target = store_of(store(sys.argv[2]), "target")
source = store_of(store(sys.argv[3]), "source")
copy_hashed(source, "in-bucket/small", target, "unstract/small", timeout_seconds=60)  # what is loaded once
before, most, ended = resident(), 0.0, threading.Event()

def watch():
    global most
    while not ended.wait(0.005):
        most = max(most, resident())

watching = threading.Thread(target=watch)
watching.start()
copied = copy_hashed(source, "in-bucket/large", target, "unstract/large", timeout_seconds=300)
target.duplicate("unstract/large", "unstract/large-again")
ended.set()
watching.join()
print(copied.size, most - before)
"""


@pytest.mark.parametrize(("stores", "most"), [("one", 6), ("two", 19)])
def test_a_large_file_takes_little_memory(object_store, s3, stores, most):
    """64 MiB, beyond what a small file takes: less than 20 MiB across two stores, little where one holds both."""
    s3.write("in-bucket/small", b"x")
    with s3.writing("in-bucket/large") as large:
        for _ in range(64):
            large.write(bytes(2**20))
    source = object_store.variable if stores == "one" else minio(object_store.url, secret="another")
    command = [sys.executable, "-c", PROGRAM, "-", object_store.variable, source]

    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr
    size, more = done.stdout.split()
    sys.stdout.write(f"{stores}: {float(more):.1f} MiB more\n")
    assert int(size) == 64 * 2**20
    assert float(more) < most

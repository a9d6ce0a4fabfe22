"""The demo itself: the four real workers over the sample documents, and over somebody's own files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unstract_devstack.samples import DOCUMENTS, load_expectations

pytest.importorskip("unstract_worker_callback.__main__", reason="the workers are not installed")


def demo(*arguments: str | Path) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """A finished run with --json, and its report."""
    command = [sys.executable, "-m", "unstract_devstack.demo", "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return done, report


def test_the_sample_demo_ends_as_expected() -> None:
    done, report = demo()
    assert (done.returncode, report["ok"]) == (0, True), done.stderr
    assert set(report) == {"ok", "seconds", "executions", "webhooks_delivered", "files"}
    expected = load_expectations()
    counts = [
        (row["kind"], row["status"], row["total"], row["successful"], row["failed"], row["callbacks"])
        for row in report["executions"]
    ]
    documents = ("api", "COMPLETED", len(expected.documents), 11, 4, 1)
    rows = (("COMPLETED", 8, 7, 1), ("ERROR", 2, 0, 2), ("COMPLETED", 2, 2, 0))
    inbox, failed, repaired = (("etl", *row, 1) for row in rows)
    assert counts[:-1] == [documents, inbox, documents, failed, repaired]
    kind, status, total, successful, _, _ = counts[-1]
    assert (kind, status, total) == ("api", "STOPPED", len(expected.documents))
    assert 0 < successful < total
    assert report["webhooks_delivered"] >= 2
    assert len(report["files"]) == 3 * len(expected.documents) + len(expected.inbox) + 4
    assert "Every outcome is the expected one" in done.stderr
    assert done.stdout.count("\n") == 1


def test_own_files_come_back_whole(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.txt").write_text("Invoice No: 55\nfrom x, ünïcode\n")
    (tmp_path / "a.txt").write_text("from the top\n")
    (tmp_path / "a.csv").write_text("name;total\nKite;3\n")
    (tmp_path / os.fsdecode(b"odd\xe9\n.txt")).write_text("odd name")
    (tmp_path / "noise").write_bytes(b"\x00\x01\x02")
    (tmp_path / "link").symlink_to("/etc/hostname")
    done, report = demo(tmp_path, DOCUMENTS / "empty.txt")
    assert (done.returncode, report["ok"]) == (0, True), done.stderr
    (execution,) = report["executions"]
    names = ("kind", "status", "total", "successful", "failed", "callbacks")
    assert [execution[name] for name in names] == ["api", "COMPLETED", 6, 4, 2, 1]
    files = {file["name"]: file for file in report["files"]}
    assert set(files) == {"a.txt", "x__a.txt", "a.csv", "odd__.txt", "noise", "empty.txt"}
    assert files["x__a.txt"]["result"] == {
        "text": "Invoice No: 55\nfrom x, ünïcode\n",
        "fields": {"invoice_number": "55"},
    }
    assert files["a.txt"]["result"]["text"] == "from the top\n"
    assert files["a.csv"]["result"]["rows"] == [{"name": "Kite", "total": "3"}]
    assert [files[name]["status"] for name in ("noise", "empty.txt")] == ["Failed", "Failed"]
    assert "unsupported" in files["noise"]["error"]
    assert "empty" in files["empty.txt"]["error"]
    assert "is sent as x__a.txt" in done.stderr
    assert "link is left out" in done.stderr


def test_the_documents_go_through_the_platforms_executor_once_each() -> None:
    done, report = demo("--executor", "platform")
    assert (done.returncode, report["ok"]) == (0, True), done.stderr
    (execution,) = report["executions"]
    names = ("kind", "status", "total", "successful", "failed", "callbacks")
    assert [execution[name] for name in names] == ["api", "COMPLETED", 15, 11, 4, 1]
    assert sum(file["result"] is not None for file in report["files"]) == 11
    # Equal content is one row, an empty file and an unsupported type are never sent.
    assert report["executor"] == {"files": 12, "extractions": 12}

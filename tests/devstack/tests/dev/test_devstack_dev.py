"""The development command: embedded stack, reload, end; with a real worker."""

import os
import subprocess
import sys

import pytest

from unstract_devstack.dev import named_in, sources, stamps
from unstract_devstack.ports import free_port
from unstract_devstack.processes import alive, descendants, inherited_environment, wait_until


def test_names_of_a_dotenv_file_are_seen_and_empty_ones_are_not(tmp_path):
    file = tmp_path / ".env"
    file.write_text("# comment\nexport A=1\nB = two\nC=\n  D=x # y\n")
    assert named_in(file) == {"A", "B", "D"}
    assert named_in(tmp_path / "none") == frozenset()


def test_a_change_shows_in_the_stamps(tmp_path):
    (tmp_path / "a.py").write_text("")
    before = stamps([tmp_path])
    (tmp_path / "b.lua").write_text("")
    assert set(stamps([tmp_path])) - set(before) == {tmp_path / "b.lua"}


def test_sources_are_the_workers_and_cores_and_importing_them_is_not_needed():
    assert {folder.name for folder in sources("unstract_worker_callback")} == {
        "unstract_worker_callback",
        "unstract_worker_core",
    }


@pytest.mark.timeout(90)
def test_a_worker_comes_up_with_everything_embedded_reloads_and_leaves_nobody(tmp_path):
    log, port = tmp_path / "log", free_port()
    source = next(folder for folder in sources("unstract_worker_callback") if folder.name == "unstract_worker_callback")
    with log.open("wb") as stream:
        dev = subprocess.Popen(
            [sys.executable, "-m", "unstract_devstack.dev", "callback"],
            env=inherited_environment() | {"CALLBACK_HEALTH_PORT": str(port)},
            cwd=tmp_path,
            stderr=stream,
            stdout=stream,
        )
    try:
        assert wait_until(lambda: " ready." in log.read_text(), seconds=40), log.read_text()
        assert "bringing up an embedded Redis" in log.read_text()
        assert f"health: http://127.0.0.1:{port}/health" in log.read_text()
        assert "curl" not in log.read_text()  # `hatch run up` explains the stack; this is about one worker
        os.utime(source / "__init__.py")
        assert wait_until(lambda: log.read_text().count(" ready.") == 2, seconds=30), log.read_text()
        assert "starts again: __init__.py changed" in log.read_text()
        children = descendants(dev.pid)
        assert children
        dev.terminate()
        assert dev.wait(30) == 0
        assert wait_until(lambda: not any(alive(pid) for pid in children), seconds=10)
    finally:
        dev.kill()

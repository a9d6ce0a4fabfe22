"""A worker goes on when its log cannot be written, and writes again when it can."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unstract_devstack.processes import wait_until

REDIRECTED = {
    "full": "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
    "both full": "full = os.open('/dev/full', os.O_WRONLY); os.dup2(full, 1); os.dup2(full, 2)",
    "no stderr": "os.close(2)",
    "no streams": "os.close(0); os.close(1); os.close(2)",
    "reader gone": "reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 2)",
}


@pytest.mark.parametrize("how", REDIRECTED)
def test_a_worker_without_a_working_stderr_serves_and_ends_with_zero(how, start_worker, send, ended):
    executed = [sys.executable, "-m", "tiny_worker", "run"]
    worker = start_worker("-c", f"import os; {REDIRECTED[how]}; os.execv({executed[0]!r}, {executed!r})", ready=False)
    worker.wait_ready()
    send("tiny.note", body=[[], {"name": "one"}, {}])
    send("tiny.broken", body=[[], {}, {}])
    assert ended("one")
    if how in ("full", "both full", "reader gone"):
        assert wait_until(lambda: "unstract_worker_log_records_lost 0.0" not in worker.metrics(), seconds=10)
    worker.terminate()
    assert worker.exit_code() == 0


def test_a_log_file_that_logrotate_renamed_is_opened_again(start_worker, send, ended, tmp_path):
    log, renamed = tmp_path / "worker.jsonl", tmp_path / "worker.jsonl.1"
    worker = start_worker(LOG_FILE=str(log))
    log.rename(renamed)
    os.kill(worker.process.pid, signal.SIGHUP)
    send("tiny.broken", body=[[], {}, {}])

    assert wait_until(lambda: log.exists() and "task failed unexpectedly" in log.read_text(), seconds=15)
    assert "task failed unexpectedly" not in renamed.read_text()
    send("tiny.note", body=[[], {"name": "one"}, {}])
    assert ended("one")
    worker.terminate()
    assert worker.exit_code() == 0


def test_a_log_file_is_written_again_once_its_folder_is_back(start_worker, send, ended, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    worker = start_worker(LOG_FILE=str(folder / "worker.jsonl"))
    folder.rename(tmp_path / "moved")
    send("tiny.broken", body=[[], {}, {}])
    send("tiny.note", body=[[], {"name": "one"}, {}])
    assert ended("one")
    assert wait_until(lambda: "unstract_worker_log_records_lost 0.0" not in worker.metrics(), seconds=10)

    folder.mkdir()
    send("tiny.broken", body=[[], {}, {}])
    assert wait_until((folder / "worker.jsonl").exists, seconds=10)


def test_writing_resumes_when_the_disk_has_room_again(tmp_path: Path):
    """A limit to the file's size stands for the full disk: the kernel refuses the write, and later takes it."""
    code = """
import resource, signal
from unstract_worker_core.config import LoggingSettings
from unstract_worker_core.observability.logs import configure_logging, get_logger, lost_records
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
configure_logging(LoggingSettings())
log = get_logger("x")
log.info("before")
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
for number in range(300):
    log.info("meanwhile", number=number)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.info("after", lost=lost_records())
"""
    path = tmp_path / "stderr"
    with path.open("w") as stderr:
        done = subprocess.run([sys.executable, "-c", code], stderr=stderr, check=False, timeout=60)
    assert done.returncode == 0
    last = path.read_text().splitlines()[-1]
    assert '"event":"after"' in last
    assert '"lost":0' not in last
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY

"""A worker goes on when its log cannot be written, and writes again when it can."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unstract_devstack.processes import inherited_environment, wait_until
from unstract_worker_core.observability.log_targets import LineStream
from unstract_worker_core.testing import environment_for

SAMPLE = Path(__file__).parent / "sample"

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


def test_sighup_to_a_prefork_child_does_not_end_its_task(start_worker, send, ended, redis, tmp_path):
    start_worker(CALLBACK_POOL_TYPE="prefork", CALLBACK_CONCURRENCY="1", LOG_FILE=str(tmp_path / "worker.jsonl"))
    send("tiny.where")
    assert wait_until(lambda: redis.llen("pids") == 1, seconds=15)
    os.kill(int(redis.lindex("pids", 0)), signal.SIGHUP)
    send("tiny.where")
    assert wait_until(lambda: redis.llen("pids") == 2, seconds=15)
    assert redis.lindex("pids", 0) == redis.lindex("pids", 1)


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
from unstract_worker_core.observability.logs import configure_logging, get_logger
from unstract_worker_core.observability.log_targets import lost_records
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


def test_a_worker_whose_log_nobody_reads_serves_and_ends_with_zero(start_worker, send, ended):
    """The pipe's reader lives, but has stopped: a write to stderr would block for ever."""
    code = """
import os, sys
reader, writer = os.pipe()
os.set_inheritable(reader, True)
full = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
try:
    while True:
        os.write(full, b"x" * 4096)
except BlockingIOError:
    os.dup2(writer, 2)
os.execv(sys.executable, [sys.executable, "-m", "tiny_worker", "run"])
"""
    worker = start_worker("-c", code)
    send("tiny.broken", body=[[], {}, {}])
    send("tiny.note", body=[[], {"name": "one"}, {}])
    assert ended("one")
    assert wait_until(lambda: "unstract_worker_log_records_lost 0.0" not in worker.metrics(), seconds=20)
    worker.terminate()
    assert worker.exit_code() == 0


def test_logging_resumes_on_a_line_of_its_own_once_the_reader_reads_again():
    """A line that was broken off when the pipe was full does not run into the next one."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as pipe, os.fdopen(writer, "wb", buffering=0) as stderr:
        stream = LineStream(stderr)
        with pytest.raises(TimeoutError):
            stream.write("x" * 1_000_000 + "\n")
        assert set(pipe.read(1_000_000)) == {ord("x")}
        stream.write('{"event":"after"}\n')
        assert pipe.read(100) == b'\n{"event":"after"}\n'


def test_a_log_file_that_is_a_pipe_without_a_reader_is_refused_instead_of_waited_for(start_worker, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    worker = start_worker(LOG_FILE=str(path), ready=False)
    assert worker.exit_code() == 2
    assert "LOG_FILE: is a pipe that no process reads" in worker.log


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("scaling",), ("fleet", "--json")])
def test_output_that_cannot_be_written_is_one_line(arguments, redis_server):
    environment = inherited_environment() | environment_for(redis_url=redis_server.url, PYTHONPATH=str(SAMPLE))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tiny_worker", *arguments], env=environment, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "Error: the output cannot be written: No space left on device\n"

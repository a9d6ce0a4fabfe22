"""Child processes that never outlive the stack: own process group, log file, ended by pid.

On Linux each child is also tied to this process by the kernel, so that even a SIGKILL of the demo leaves
nothing behind. Elsewhere `finally` and `atexit` do what can be done.
"""

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

import psutil
from attrs import define, field

PR_SET_PDEATHSIG = 1
TAIL_BYTES = 8192
# What a child needs to find its interpreter and its folders; everything else must be given to it.
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
INHERITED_PREFIXES = ("COVERAGE_",)


class ProcessError(Exception):
    """A process of the stack did not start or died; the message ends with the tail of its log."""


class EndAsked(BaseException):
    """SIGINT or SIGTERM: this process is asked to end."""


def raise_on_signals() -> None:
    """The first SIGINT or SIGTERM raises EndAsked, so that everything started is ended; later ones are not heard."""

    def end(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise EndAsked

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


@contextlib.contextmanager
def kept_folder(kept: Path | None, *, prefix: str, known: bool = False) -> Iterator[Path]:
    """Where a run leaves its logs and data: `kept`, which stays, or a temporary folder.

    Raises FileExistsError if `kept` is there already, unless it may be (`known`).
    """
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=known)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        yield Path(name)


def inherited_environment() -> dict[str, str]:
    """The few variables of this process that a child may see: none that could configure it."""
    return {
        name: value for name, value in os.environ.items() if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }


def wait_until(condition: Callable[[], bool], *, seconds: float, pause: float = 0.02) -> bool:
    """Whether `condition` held within `seconds`; asked every `pause` seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True


@define
class ManagedProcess:
    """One child process, which can be started again after it ended.

    Attributes:
        name: what people call it.
        command: program and arguments.
        environment: its whole environment.
        log_path: where its standard error, and its output unless `output_path` is set, are appended.
        output_path: where its standard output goes instead.
    """

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(repr=False)
    log_path: Path
    output_path: Path | None = None
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        """The pid, also its process group."""
        if self._child is None:
            raise ProcessError(f"{self.name} was not started")
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Starts the process; it is an error if it runs."""
        if self.running:
            raise ProcessError(f"{self.name} runs already")
        with contextlib.ExitStack() as files:
            log = files.enter_context(self.log_path.open("ab"))
            output: IO[bytes] = log
            if self.output_path is not None:
                output = files.enter_context(self.output_path.open("wb"))
            self._child = subprocess.Popen(
                list(self.command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                process_group=0,
                preexec_fn=_tie_to_parent(),  # noqa: PLW1509 - only a system call whose symbol is already loaded
            )
        atexit.register(self.kill)

    def await_ready(
        self, ready: Callable[[], bool], *, seconds: float, pause: float = 0.02, detail: Callable[[], str] = str
    ) -> None:
        """Returns when `ready` holds; asked every `pause` seconds. `detail`: why it does not.

        Raises:
            ProcessError: the process ended, or was not ready within `seconds`; with the tail of its log.
        """
        held = wait_until(lambda: not self.running or ready(), seconds=seconds, pause=pause)
        if not self.running:
            raise self.failure("ended while it was starting")
        if not held:
            reason = detail()
            raise self.failure(f"was not ready after {seconds:.0f} s{f' ({reason})' if reason else ''}")

    @contextlib.contextmanager
    def serving(
        self, ready: Callable[[], bool], *, seconds: float, pause: float = 0.02, grace: float = 10.0
    ) -> Iterator[None]:
        """The process runs, and is `ready`, until the block is left; `grace` seconds to end. Raises ProcessError."""
        try:
            self.start()
            self.await_ready(ready, seconds=seconds, pause=pause)
            yield
        finally:
            self.stop(grace=grace)

    def wait(self, *, seconds: float) -> bool:
        """Whether the process ended within `seconds`."""
        return wait_until(lambda: not self.running, seconds=seconds)

    def stop(self, *, grace: float = 10.0) -> None:
        """Ends the process: SIGTERM, and SIGKILL for its group if it is still there after `grace` seconds."""
        if self.running:
            self.terminate()
            self.wait(seconds=grace)
        self.kill()

    def terminate(self) -> None:
        """Asks the process to end (SIGTERM), without waiting."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process and whatever it started, at once."""
        atexit.unregister(self.kill)
        if self._child is None:
            return
        self._signal_group(signal.SIGKILL)
        self._child.wait()

    def freeze(self) -> None:
        """Stops the whole group (SIGSTOP)."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets the stopped group go on."""
        self._signal_group(signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The whole group is stopped inside the block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def log_end(self) -> int:
        """How long the log is now, for `log_after`."""
        return self.log_path.stat().st_size

    def log_after(self, end: int) -> str:
        """What was written to the log beyond this length."""
        with self.log_path.open("rb") as log:
            log.seek(end)
            return log.read().decode(errors="replace")

    def log_tail(self, lines: int = 30) -> str:
        return end_of(self.log_path, lines)

    def failure(self, problem: str) -> ProcessError:
        """An error that says what is wrong with this process and what it wrote last."""
        code = self.exit_code
        state = "" if code is None else f" (exit code {code})"
        return ProcessError(f"{self.name} {problem}{state}. Its log, {self.log_path}, ends with:\n{self.log_tail()}")


def end_of(log_path: Path, lines: int = 30) -> str:
    """The last lines of a log; nothing if there is none."""
    if not log_path.exists():
        return ""
    with log_path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


def alive(pid: int) -> bool:
    """Whether a process with this pid runs; one that has ended and was not yet reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> frozenset[int]:
    return frozenset(child.pid for child in psutil.Process(pid).children(recursive=True))


def end_with_parent() -> None:
    """For a process of a pool: a Ctrl-C is its parent's business, and where the kernel can it ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _tie_to_parent() -> Callable[[], None] | None:
    """What the child runs before it becomes the program: ask the kernel to kill it when this process ends."""
    # The kernel watches the thread that forked, so only the main thread may ask: others end earlier.
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    system = ctypes.CDLL(None)
    parent = os.getpid()

    def tie() -> None:
        system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return tie

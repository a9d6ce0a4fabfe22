"""A private RabbitMQ node on loopback: the platform's own broker, for tests that need the real one.

The server is an installed one (Debian's package `rabbitmq-server`); nothing of the machine's own node is touched:
name, ports, cookie and data are this node's alone.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import define, field

from unstract_devstack.ports import free_port
from unstract_devstack.processes import ManagedProcess, ProcessError

START_SECONDS = 240.0
_SCRIPTS = Path("/usr/lib/rabbitmq/bin")


@define
class RabbitHandle:
    """A running node. `url` is a Celery broker URL of its default virtual host."""

    url: str
    port: int
    process: ManagedProcess
    scripts: Path
    environment: Mapping[str, str] = field(repr=False)

    def kill(self) -> None:
        """End it with SIGKILL, its whole group."""
        self.process.kill()

    def start(self) -> None:
        """Start it again with the same data and wait until it serves. Raises ProcessError."""
        self.process.start()
        self.process.await_ready(self.serves, seconds=START_SECONDS, pause=0.5)

    def serves(self) -> bool:
        """Whether the node has started."""
        # On a busy machine asking alone may take longer than the server has been given to answer.
        with contextlib.suppress(ProcessError, subprocess.TimeoutExpired):
            self.control("await_startup", "--timeout", "5")
            return True
        return False

    def control(self, *command: str) -> str:
        """What `rabbitmqctl` answers. Raises ProcessError."""
        asked = [str(self.scripts / "rabbitmqctl"), "-q", *command]
        done = subprocess.run(
            asked, env=dict(self.environment), capture_output=True, check=False, text=True, timeout=60
        )
        if done.returncode != 0:
            raise ProcessError(f"rabbitmqctl {command[0]} failed: {done.stderr[-500:]}")
        return done.stdout


@contextlib.contextmanager
def running_rabbitmq(directory: Path, *, options: Sequence[str] = ()) -> Iterator[RabbitHandle]:
    """A node with its data in `directory`, until the block is left.

    Args:
        options: further lines of its configuration.

    Raises:
        ProcessError: RabbitMQ is not installed, or did not start.
    """
    scripts = _installed()
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = _environment(directory, port, options)
    process = ManagedProcess(
        name="RabbitMQ",
        command=[str(scripts / "rabbitmq-server")],
        environment=environment,
        log_path=directory / "rabbitmq.log",
    )
    handle = RabbitHandle(f"amqp://guest:guest@127.0.0.1:{port}//", port, process, scripts, environment)
    try:
        with process.serving(handle.serves, seconds=START_SECONDS, pause=0.5, grace=15):
            yield handle
    finally:
        # The node's port mapper daemonises: it is ours alone, by its own port.
        subprocess.run(["epmd", "-kill"], env=environment, capture_output=True, check=False, timeout=15)


def _installed() -> Path:
    for folder in (_SCRIPTS, *Path("/usr/lib/rabbitmq/lib").glob("*/sbin")):
        if (folder / "rabbitmq-server").exists() and (folder / "rabbitmqctl").exists():
            return folder
    raise ProcessError("RabbitMQ is not installed: install Debian's package rabbitmq-server")


def _environment(directory: Path, port: int, options: Sequence[str]) -> dict[str, str]:
    (directory / "home").mkdir(exist_ok=True)
    (directory / "enabled_plugins").write_text("[].\n")
    (directory / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users.guest = true\nvm_memory_high_watermark.relative = 0.4\n"
        "disk_free_limit.absolute = 50MB\n" + "".join(f"{line}\n" for line in options)
    )
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin:/usr/sbin"),
        "HOME": str(directory / "home"),
        "LANG": "C.UTF-8",
        "RABBITMQ_NODENAME": f"uw{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "none.conf"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_PID_FILE": str(directory / "rabbitmq.pid"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2",
    }

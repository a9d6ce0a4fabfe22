"""An SFTP server over a folder, with one user and password: paramiko's own server on a socket."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko

USER, PASSWORD = "worker", "canary-of-sftp"


class _Login(paramiko.ServerInterface):
    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        known = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Handle(paramiko.SFTPHandle):
    def stat(self) -> Any:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class _Files(paramiko.SFTPServerInterface):
    """Paths are below `root`."""

    root = Path()

    def _answer(self, call: Callable[[Path], Any], path: str) -> Any:
        try:
            return call(self.root / path.lstrip("/"))
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def stat(self, path: str) -> Any:
        return self._answer(lambda real: paramiko.SFTPAttributes.from_stat(real.stat()), path)

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        def opened(real: Path) -> _Handle:
            file = os.fdopen(os.open(real, flags, 0o600), "rb" if flags & os.O_ACCMODE == os.O_RDONLY else "wb")
            handle = _Handle(flags)
            handle.readfile = handle.writefile = file
            return handle

        return self._answer(opened, path)

    def mkdir(self, path: str, attr: Any) -> Any:
        return self._answer(lambda real: real.mkdir() or paramiko.SFTP_OK, path)


@contextlib.contextmanager
def running_sftp(folder: Path) -> Iterator[int]:
    """Serve a folder until the block ends; the port."""
    key, kind = paramiko.RSAKey.generate(2048), type("Files", (_Files,), {"root": folder})

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, kind)
            transport.start_server(threading.Event(), _Login())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)

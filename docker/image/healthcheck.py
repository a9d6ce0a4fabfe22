"""HEALTHCHECK of a worker's image: exit code 0 if /health/live answers 200.

Runs every few seconds beside the worker, so it loads nothing but sockets.
"""

import os
import socket
import sys
from collections.abc import Mapping

DEFAULT_PORTS = {"API_DEPLOYMENT": 8080, "GENERAL": 8081, "FILE_PROCESSING": 8082, "CALLBACK": 8083}
ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a worker listens, not we
SECONDS = 4.0


def address(environ: Mapping[str, str]) -> tuple[str, int]:
    """Where the worker of this environment serves its health."""
    worker = environ["WORKER_TYPE"].strip().replace("-", "_").upper()
    port = environ.get(f"{worker}_HEALTH_PORT", "").strip()
    host = environ.get("WORKER_HEALTH_HOST", "").strip()
    return ANYWHERE.get(host, host), int(port) if port else DEFAULT_PORTS[worker]


def status_line(where: tuple[str, int]) -> str:
    """The first line of the answer to GET /health/live."""
    with socket.create_connection(where, timeout=SECONDS) as connection:
        connection.sendall(b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with connection.makefile("rb") as answer:
            return answer.readline(200).decode("ascii", "replace").strip()


def main() -> int:
    """Ask once, and say what was answered."""
    where = address(os.environ)
    try:
        told = status_line(where)
    except OSError as error:
        told = f"no answer on port {where[1]}: {error}"
    sys.stdout.write(f"{told}\n")
    return 0 if told.split(" ")[1:2] == ["200"] else 1


if __name__ == "__main__":
    sys.exit(main())

"""HEALTHCHECK of a worker's image: exit code 0 if /health/ready answers 200, else 1 and what is not ready.

Ready is a worker that is connected to its broker and reaches its ledger: what replaces others must be able to work. An
engine that sees "unhealthy" restarts nothing by itself; a worker that hangs ends itself (WORKER_STUCK_SLOT_SECONDS).
Runs every few seconds beside the worker, so it loads little.
"""

import json
import os
import socket
import sys
from collections.abc import Mapping

DEFAULT_PORTS = {"API_DEPLOYMENT": 8080, "GENERAL": 8081, "FILE_PROCESSING": 8082, "CALLBACK": 8083}
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where the worker listens
SECONDS = 4.0
MOST_BYTES = 65536


def address(environ: Mapping[str, str]) -> tuple[str, int]:
    """Where the worker of this environment serves its health."""
    worker = environ["WORKER_TYPE"].strip().replace("-", "_").upper()
    port = environ.get(f"{worker}_HEALTH_PORT", "").strip()
    host = environ.get("WORKER_HEALTH_HOST", "").strip().strip("[]")
    return LOOPBACK.get(host, host), int(port) if port else DEFAULT_PORTS[worker]


def get(where: tuple[str, int], path: str) -> tuple[str, str]:
    """The status code and the body of the response to a GET."""
    with socket.create_connection(where, timeout=SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode("ascii"))
        with connection.makefile("rb") as response:
            head, _, body = response.read(MOST_BYTES).decode("utf-8", "replace").partition("\r\n\r\n")
    return head[:12].partition(" ")[2], body


def failed_checks(body: str) -> str:
    """The checks that failed, by the body of the worker's response; nothing if that is no such body."""
    try:
        checks = json.loads(body)["checks"]
        return "; ".join(f"{name}: {check['detail']}" for name, check in checks.items() if not check["ok"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def main() -> int:
    """Asks once, and prints what the engine keeps as the outcome."""
    where = address(os.environ)
    try:
        status, body = get(where, "/health/ready")
    except OSError as error:
        sys.stdout.write(f"no answer on port {where[1]}: {error}\n")
        return 1
    sys.stdout.write(": ".join(filter(None, (status or "no HTTP status", failed_checks(body)))) + "\n")
    return 0 if status == "200" else 1


if __name__ == "__main__":
    sys.exit(main())

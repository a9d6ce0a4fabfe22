"""Command line of the reference backend: prints one JSON line with its port when ready, runs until a signal ends it."""

import argparse
import json
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from unstract_devstack.backend import BackendConfig, FileWork, Mode, UploadRules, running


def delay(text: str) -> tuple[float, float]:
    """Seconds as 0.1, or a range as 0.02-0.2."""
    shortest, _, longest = text.partition("-")
    return float(shortest), float(longest or shortest)


def parser() -> argparse.ArgumentParser:
    """The command's options, named as the fields of BackendConfig; what is not given keeps the field's default."""
    options = argparse.ArgumentParser(
        prog="python -m unstract_devstack.backend", description=__doc__, argument_default=argparse.SUPPRESS
    )
    add = options.add_argument
    add("--host")
    add("--port", type=int, help="0, which is the default, takes a free one")
    add(
        "--data",
        type=lambda text: Path(text).resolve(),
        required=True,
        help="directory for the database and staged files",
    )
    add("--broker-url")
    add("--redis-url", help="the platform's Redis, with its database number")
    add("--quorum-queues", action="store_true", help="declare quorum queues (RabbitMQ)")
    add("--confirm-publish", action="store_true", help="wait for RabbitMQ's confirms (Django does not)")
    add("--api-key-file", dest="api_key", type=_content, required=True)
    add("--mode", type=Mode, choices=list(Mode))
    add("--execute-file", type=FileWork, choices=list(FileWork))
    add("--file-delay", type=delay, help="seconds a file takes, or a range 0.02-0.2")
    add("--club-seconds", type=float)
    add("--poll-seconds", type=float, help="between looks for a synchronous caller (0.1; platform: 2)")
    rules = "none: any number of files and tags a call, empty and equal files too"
    add("--upload-rules", type=UploadRules, choices=list(UploadRules), help=rules)
    store = "API_FILE_STORAGE_CREDENTIALS of a store that uploads are put into too"
    add("--uploads-store-file", dest="uploads_store", type=_content, help=store)
    shared = "one pool of so many for all calls; waiting callers hold theirs (platform: 4)"
    add("--shared-threads", type=int, help=shared)
    return options


def _content(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with running(BackendConfig(log_drain=True, **vars(parser().parse_args()))) as handle:
        sys.stdout.write(json.dumps({"port": handle.port}) + "\n")
        sys.stdout.flush()
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

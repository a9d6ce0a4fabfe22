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
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m unstract_devstack.backend", description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options.add_argument("--data", type=Path, required=True, help="directory for the database and staged files")
    options.add_argument("--broker-url", default=None)
    options.add_argument("--redis-url", default=None, help="the platform's Redis, with its database number")
    options.add_argument("--quorum-queues", action="store_true", help="declare quorum queues (RabbitMQ)")
    options.add_argument(
        "--confirm-publish", action="store_true", help="wait for RabbitMQ's confirms (Django does not)"
    )
    options.add_argument("--api-key-file", type=Path, required=True)
    options.add_argument("--public-key-file", type=Path, default=None)
    options.add_argument("--mode", type=Mode, choices=list(Mode), default=Mode.AS_REAL)
    options.add_argument("--execute-file", type=FileWork, choices=list(FileWork), default=FileWork.REAL)
    options.add_argument(
        "--file-delay", type=delay, default=(0.0, 0.0), help="seconds a file takes, or a range 0.02-0.2"
    )
    options.add_argument("--club-seconds", type=float, default=1.0)
    options.add_argument(
        "--poll-seconds", type=float, default=0.1, help="between looks for a synchronous caller (platform: 2)"
    )
    options.add_argument("--keep-alive-seconds", type=int, default=75)
    options.add_argument("--no-buffer-loop", action="store_true")
    options.add_argument("--no-log-drain", action="store_true", help="leave the workers' log events on their queue")
    options.add_argument("--history-limit", type=int, default=3, help="MAX_FILE_EXECUTION_COUNT of new workflows")
    options.add_argument(
        "--upload-rules",
        type=UploadRules,
        choices=list(UploadRules),
        default=UploadRules.PLATFORM,
        help="none: any number of files and tags a call, empty and equal files too",
    )
    options.add_argument(
        "--uploads-store-file", type=Path, help="API_FILE_STORAGE_CREDENTIALS of a store that uploads are put into too"
    )
    options.add_argument("--threads", type=int, default=6)
    options.add_argument("--file-threads", type=int, default=32)
    options.add_argument(
        "--shared-threads",
        type=int,
        help="one pool of so many for all calls; waiting callers hold theirs (platform: 4)",
    )
    return options


def config_of(chosen: argparse.Namespace) -> BackendConfig:
    """The configuration that the options stand for."""
    public, store = chosen.public_key_file, chosen.uploads_store_file
    return BackendConfig(
        data=chosen.data.resolve(),
        api_key=chosen.api_key_file.read_text(encoding="utf-8").strip(),
        host=chosen.host,
        port=chosen.port,
        broker_url=chosen.broker_url,
        redis_url=chosen.redis_url,
        quorum_queues=chosen.quorum_queues,
        confirm_publish=chosen.confirm_publish,
        mode=chosen.mode,
        execute_file=chosen.execute_file,
        file_delay=chosen.file_delay,
        club_seconds=chosen.club_seconds,
        poll_seconds=chosen.poll_seconds,
        keep_alive_seconds=chosen.keep_alive_seconds,
        buffer_loop=not chosen.no_buffer_loop,
        log_drain=not chosen.no_log_drain,
        public_key=public.read_text(encoding="utf-8").strip() if public else None,
        history_limit=chosen.history_limit,
        upload_rules=chosen.upload_rules,
        uploads_store=store.read_text(encoding="utf-8") if store else "",
        threads=chosen.threads,
        file_threads=chosen.file_threads,
        shared_threads=chosen.shared_threads,
    )


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with running(config_of(parser().parse_args())) as handle:
        sys.stdout.write(json.dumps({"port": handle.port}) + "\n")
        sys.stdout.flush()
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

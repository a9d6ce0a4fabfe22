"""The S3 stand-in's process: ``python -m unstract_devstack.executor.object_store HOST PORT BUCKET...``."""

import logging
import sys
import threading

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer


def main(host: str, port: int, buckets: list[str]) -> None:
    """Serve until a signal, with these buckets."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for bucket in buckets:  # before anything can be asked: a store that has its buckets later loses files
        store.create_bucket(bucket, "us-east-1")
    ThreadedMotoServer(host, port, verbose=False).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])

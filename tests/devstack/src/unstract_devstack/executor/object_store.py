"""The S3 stand-in's process: ``python -m unstract_devstack.executor.object_store HOST PORT BUCKET...``."""

import logging
import sys
import threading

import boto3
from moto.server import ThreadedMotoServer


def main(host: str, port: int, buckets: list[str]) -> None:
    """Serve until a signal, with these buckets."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(host, port, verbose=False)
    server.start()
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", aws_access_key_id="stand-in",
        aws_secret_access_key="stand-in-secret",
    )  # fmt: skip
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])

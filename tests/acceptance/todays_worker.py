"""A plain Celery stand-in for today's workers (contract: tasks 3 to 5): builds chords, works on batches, calls back.

`python todays_worker.py file|callback` runs one; BROKER, RESULTS and BACKEND_URL, BACKEND_KEY point it at the stack.
"""

import json
import os
import sys
import urllib.request

from celery import Celery, chord, signature

FILE_QUEUES = ("file_processing", "api_file_processing")
CALLBACK_QUEUES = ("file_processing_callback", "api_file_processing_callback")


def make(broker: str, results: str) -> Celery:
    app = Celery("today", broker=broker, backend=results, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_extended=True,
        task_acks_late=True,
        result_chord_retry_interval=0.2,
        broker_connection_retry_on_startup=True,
    )
    return app


def send_chord(app: Celery, batches: list, *, api: bool, **kwargs) -> str:
    """The chord as today's orchestrators build it; returns the callback's task id."""
    queue, callback_queue = (
        ("api_file_processing", "api_file_processing_callback")
        if api
        else (
            "file_processing",
            "file_processing_callback",
        )
    )
    name = "process_batch_callback_api" if api else "process_batch_callback"
    header = [signature("process_file_batch", args=[batch], queue=queue, app=app) for batch in batches]
    body = signature(name, kwargs=kwargs, queue=callback_queue, app=app)
    return chord(header, app=app)(body).id


def _post(path: str, organization: str, content: dict) -> None:
    request = urllib.request.Request(  # noqa: S310 - the stack's own loopback URL
        os.environ["BACKEND_URL"] + path,
        data=json.dumps(content).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['BACKEND_KEY']}",
            "X-Organization-ID": organization,
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        answer.read()


def _file_tasks(app: Celery) -> None:
    @app.task(name="process_file_batch", max_retries=0)
    def process_file_batch(batch: dict) -> dict:
        files = len(batch["files"])
        return {
            "total_files": files,
            "successful_files": files,
            "failed_files": 0,
            "execution_time": 0.1,
            "file_results": [],
            "errors": [],
            "skipped_already_completed": 0,
            "skipped_active_duplicate": 0,
            "organization_id": batch["file_data"]["organization_id"],
        }


def _callback_tasks(app: Celery) -> None:
    @app.task(name="process_batch_callback_api")
    def process_batch_callback_api(results: list, **kwargs) -> None:
        done = [result for result in results if isinstance(result, dict)]
        totals = {
            name: sum(result[name] for result in done) for name in ("total_files", "successful_files", "failed_files")
        }
        path = f"/v1/workflow-execution/{kwargs['execution_id']}/update_status/"
        _post(path, kwargs["organization_id"], {"status": "COMPLETED", **totals})


if __name__ == "__main__":
    role = sys.argv[1]
    worker_app = make(os.environ["BROKER"], os.environ["RESULTS"])
    {"file": _file_tasks, "callback": _callback_tasks}[role](worker_app)
    queues = ",".join(FILE_QUEUES if role == "file" else CALLBACK_QUEUES)
    worker_app.worker_main(
        ["worker", "-Q", queues, "-c", "2", "-P", "threads", "--without-mingle", "--without-gossip", "-l", "INFO"]
    )

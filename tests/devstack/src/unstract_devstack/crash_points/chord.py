"""An execution as today's orchestrators start it: a Celery chord of batches, whose results a callback waits for."""

import contextlib
import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from celery import Celery, chord, signature

from unstract_devstack.crash_points.ground import Ground
from unstract_devstack.fleet import API_DEPLOYMENT
from unstract_devstack.processes import wait_until
from unstract_devstack.producer import API_QUEUE


@contextlib.contextmanager
def as_chord(ground: Ground) -> Iterator[None]:
    """What is sent to the API inside the block is started as a chord of one batch instead of by our own worker."""
    worker = ground.worker(API_DEPLOYMENT)
    worker.kill()
    yield
    found = _taken(ground)
    worker.start()
    organization, workflow, execution, files = found
    ids = {"execution_id": execution, "organization_id": organization}
    data = {**ids, "workflow_id": workflow, "pipeline_id": "None", "use_file_history": False}
    batch = {"files": [[name, file] for name, file in files.items()], "file_data": data}
    app = Celery("today", broker=ground.stack.redis.url, backend=ground.results_url, set_as_current=False)
    app.conf.update(result_chord_retry_interval=0.2, result_extended=True)
    app.backend.ResultSession()  # creates the tables once, before several processes would
    header = [signature("process_file_batch", args=[batch], queue="api_file_processing", app=app)]
    body = signature(
        "process_batch_callback_api", kwargs={**ids, "pipeline_id": None}, queue="api_file_processing_callback", app=app
    )
    chord(header, app=app)(body)
    app.close()


def _taken(ground: Ground) -> list[Any]:
    """The arguments of the start message, taken off its queue."""
    with ground.stack.redis.client() as client:
        assert wait_until(lambda: client.llen(API_QUEUE) == 1, seconds=20)
        envelope = json.loads(str(client.lpop(API_QUEUE)))
    arguments: list[Any] = json.loads(b64decode(envelope["body"]))[0]
    # Celery writes a UUID as an object of its own.
    return [each["__value__"]["hex"] if isinstance(each, dict) and "__type__" in each else each for each in arguments]

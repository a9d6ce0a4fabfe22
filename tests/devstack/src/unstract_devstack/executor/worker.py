"""The stand-in of the platform's executor worker: its task, on its queue, configured by its environment.

`python -m unstract_devstack.executor.worker` serves until a signal.
"""

import base64
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from attrs import frozen
from celery import Celery
from celery.signals import worker_ready
from kombu.entity import Exchange, Queue

from unstract_devstack.executor.bill import Bill, Fault
from unstract_devstack.executor.storage import opened
from unstract_devstack.extraction import Extraction, ExtractionError, Field, extract
from unstract_devstack.http_calls import CallFailed, call_json

QUEUE = "celery_executor_legacy"
TASK = "execute_extraction"


@frozen
class Settings:
    """What the environment sets for the process."""

    broker_url: str
    storage: str
    folder: Path
    backend_url: str
    api_key: str
    concurrency: int = 4

    @staticmethod
    def of(environ: dict[str, str]) -> "Settings":
        """From the environment."""
        return Settings(
            environ["EXECUTOR_BROKER_URL"],
            environ["TEMPORARY_REMOTE_STORAGE"],
            Path(environ["EXECUTOR_FOLDER"]),
            environ["INTERNAL_API_BASE_URL"],
            environ["INTERNAL_SERVICE_API_KEY"],
            int(environ.get("EXECUTOR_CONCURRENCY", "4")),
        )


def make_app(settings: Settings) -> Celery:
    """The Celery app. It has no result backend: the answer goes where the message's link says."""
    app = Celery("executor", broker=settings.broker_url, set_as_current=False)
    queue = Queue(QUEUE, Exchange(QUEUE, type="direct"), routing_key=QUEUE)
    app.conf.update(
        task_queues=[queue], task_default_queue=QUEUE, task_acks_late=True, worker_prefetch_multiplier=1,
        task_serializer="json", accept_content=["json"], broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
        # As our workers have it: with it Celery's threads write to the connection that the main thread reads, and a
        # worker that lost its broker once may wait for ever.
        worker_enable_prefetch_count_reduction=False,
    )  # fmt: skip
    work = Work(settings, Bill(settings.folder))

    def execute_extraction(task: Any, request: dict[str, Any]) -> dict[str, Any]:
        return work.answer(task, request)

    def ready(**_: object) -> None:
        (settings.folder / "ready").write_text(str(os.getpid()))

    app.task(name=TASK, bind=True)(execute_extraction)
    worker_ready.connect(ready, weak=False)
    return app


@frozen
class Work:
    """The extraction, and what goes wrong with it."""

    settings: Settings
    bill: Bill

    def answer(self, task: Any, request: dict[str, Any]) -> dict[str, Any]:
        """What the task returns; Celery sends it on."""
        options = request["executor_params"]["pipeline_options"]
        fault = self.bill.take(options["source_file_name"])
        if fault is not None and fault.kind == "fail":
            raise RuntimeError("the stand-in is set to fail")
        answer = self._extracted(request, options)
        return answer if fault is None else self._broken(task, fault, answer)

    def _broken(self, task: Any, fault: Fault, answer: dict[str, Any]) -> dict[str, Any]:
        if fault.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.kind == "delay":
            time.sleep(fault.seconds)
        if fault.kind == "lose":
            task.request.callbacks = None
        if fault.kind == "repeat":
            task.request.callbacks = [*task.request.callbacks, *task.request.callbacks]
        if fault.kind == "refuse":
            return {"success": False, "data": {}, "metadata": {}, "error": "the stand-in is set to refuse"}
        return answer

    def _extracted(self, request: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        params, name = request["executor_params"], options["source_file_name"]
        store, started = opened(self.settings.storage), time.perf_counter()
        self.bill.pay(request, name)
        with tempfile.NamedTemporaryFile() as file:
            file.write(store.cat_file(options["input_file_path"]))
            file.flush()
            try:
                found = extract(Path(file.name), fields=_fields(params), name=name)
            except ExtractionError as problem:
                return {"success": False, "data": {}, "metadata": {}, "error": str(problem)}
        if found.text is not None:
            store.pipe_file(params["extract_params"]["output_file_path"], found.text.encode())
        self._count(request, found)
        seconds = round(time.perf_counter() - started, 6)
        metadata = {
            "run_id": request["run_id"],
            "file_name": params["answer_params"]["file_name"],
            "source_hash": params["answer_params"]["file_hash"],
            "tool_metadata": [{"tool_name": "extraction", "elapsed_time": seconds}],
        }
        metrics = {"extraction": {"seconds": seconds}}
        data = {"output": found.as_output(), "metadata": metadata, "metrics": metrics}
        return {"success": True, "data": data, "metadata": {}, "error": None}

    def _count(self, request: dict[str, Any], found: Extraction) -> None:
        """The usage rows, which the platform's executor writes itself."""
        words = len(str(found.text if found.text is not None else found.rows).split())
        record = {
            "adapter_instance_id": request["executor_params"]["extract_params"]["x2text_instance_id"],
            "model_name": "stand-in", "usage_type": "llm", "run_id": request["run_id"], "prompt_tokens": words,
            "completion_tokens": len(str(found.fields).split()), "pages": found.pages or 1,
        }  # fmt: skip
        headers = {"X-Organization-ID": request["organization_id"]}
        with contextlib.suppress(CallFailed):  # a row that is not counted fails no extraction
            url = f"{self.settings.backend_url}/v1/usage/batch/"
            call_json("POST", url, payload={"records": [record]}, key=self.settings.api_key, headers=headers)


def _fields(params: dict[str, Any]) -> tuple[Field, ...]:
    """What the outputs ask for: the stand-in's outputs carry a pattern or a key instead of a question to a model."""
    outputs = params["answer_params"]["outputs"]
    return tuple(Field(each["name"], each.get("pattern"), each.get("key")) for each in outputs)


def stranger() -> str:
    """A message that the executor takes and throws away, as kombu has it in a Redis list: it only takes up room."""
    task_id, body = str(uuid.uuid4()), base64.b64encode(b"[[], {}, {}]").decode()
    headers = {"lang": "py", "task": "nothing", "id": task_id, "root_id": task_id, "retries": 0}
    properties = {
        "correlation_id": task_id, "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": QUEUE},
        "priority": 0, "body_encoding": "base64", "delivery_tag": str(uuid.uuid4()),
    }  # fmt: skip
    return json.dumps(
        {
            "body": body, "content-encoding": "utf-8", "content-type": "application/json", "headers": headers,
            "properties": properties,
        }
    )  # fmt: skip


def main() -> int:
    """Serve until a signal."""
    settings = Settings.of(dict(os.environ))
    app = make_app(settings)
    arguments = ["worker", "--pool", "threads", "--concurrency", str(settings.concurrency), "--loglevel", "INFO"]
    app.worker_main([*arguments, "--without-gossip", "--without-mingle", "--hostname", f"executor-{os.getpid()}@%h"])
    return 0


if __name__ == "__main__":
    sys.exit(main())

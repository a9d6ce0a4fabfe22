"""Messages as the contract shows them (tasks.md), decoded from JSON as Celery hands them to a task."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from kombu.utils.json import loads

API_START = """{
  "task": "async_execute_bin",
  "args": [
    "org_8QpLr2",
    {"__type__": "uuid", "__value__": {"hex": "0b6f2f6e0f5d4d0d9a4f5c8f7c1f2a11"}},
    {"__type__": "uuid", "__value__": {"hex": "7d3f5a0c2f0b4a6fb1b7c8b9a0e1d2c3"}},
    {
      "invoice-17.pdf": {
        "file_path": "unstract/api/org_8QpLr2/wf/ex/invoice-17.pdf",
        "file_hash": "9f2c6d3b0a4e4f1c8d7b6a5948372615f0e1d2c3b4a5968778695a4b3c2d1e0f",
        "file_name": "invoice-17.pdf",
        "source_connection_type": "API",
        "file_destination": null,
        "is_executed": false,
        "file_size": 48211,
        "mime_type": "application/pdf",
        "provider_file_uuid": null,
        "fs_metadata": null,
        "file_number": null
      }
    }
  ],
  "kwargs": {
    "scheduled": false, "execution_mode": null,
    "pipeline_id": {"__type__": "uuid", "__value__": {"hex": "51c2a8f7e2d94b3c9d1a6e5f4a3b2c1d"}},
    "log_events_id": null, "use_file_history": false, "llm_profile_id": null,
    "hitl_queue_name": null, "hitl_packet_id": null, "custom_data": null, "transport": "celery"
  }
}"""

ETL_START = """{"task":"async_execute_bin",
 "args":["org_8QpLr2","0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11","2a1f0e9d-8c7b-4a69-9584-736251403f2e",{}],
 "kwargs":{"scheduled":false,"execution_mode":null,"pipeline_id":"c0ffee00-1111-4222-8333-444455556666",
 "log_events_id":"sess-91ab","use_file_history":true,"llm_profile_id":null,"hitl_queue_name":null,
 "hitl_packet_id":null,"custom_data":null,"transport":"celery"}}"""

BATCH = """{"task":"process_file_batch","args":[{
  "files":[["inbox/a.pdf",{"file_name":"a.pdf","file_path":"inbox/a.pdf","file_hash":"","file_size":1204,
    "mime_type":"","provider_file_uuid":"etag-77ab","fs_metadata":{"size":1204},
    "source_connection_type":"FILESYSTEM","is_executed":false,"file_number":1,"connector_metadata":{},
    "use_file_history":false,"is_manualreview_required":false}]],
  "file_data":{"workflow_id":"0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11",
    "execution_id":"2a1f0e9d-8c7b-4a69-9584-736251403f2e","single_step":false,"organization_id":"org_8QpLr2",
    "pipeline_id":"c0ffee00-1111-4222-8333-444455556666","scheduled":true,"execution_mode":"SYNC",
    "use_file_history":false,"q_file_no_list":[],"source_config":{},"destination_config":{},
    "hitl_queue_name":null,"hitl_packet_id":null,"manual_review_config":{"file_decisions":[false]},
    "is_manualreview_required":false,"llm_profile_id":null,"tags":[],"custom_data":null}}],"kwargs":{}}"""

CALLBACK = """{"task":"process_batch_callback_api","args":[[{"total_files":2,"successful_files":1,"failed_files":1,
 "execution_time":20.4,"file_results":[],"errors":[],"skipped_already_completed":0,"skipped_active_duplicate":0,
 "organization_id":"org_8QpLr2"}]],"kwargs":{}}"""

MESSAGES = {
    "api_start": API_START,
    "etl_start": ETL_START,
    "batch": BATCH,
    "callback": CALLBACK,
}


@pytest.fixture
def message() -> Callable[[str], tuple[list[Any], dict[str, Any]]]:
    """Positional and keyword arguments of a contract example, as kombu decodes them."""

    def read(name: str) -> tuple[list[Any], dict[str, Any]]:
        decoded = loads(MESSAGES[name])
        return decoded["args"], decoded["kwargs"]

    return read


@pytest.fixture
def raw_messages() -> dict[str, bytes]:
    """The examples' bytes, for mutation."""
    return {name: json.dumps(json.loads(text)).encode() for name, text in MESSAGES.items()}

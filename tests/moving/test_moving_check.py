"""`check` against the platform's PostgreSQL, the result backend of chords."""

import pytest

from unstract_worker_core.operator.check.command import result_backend_line
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing import settings_for
from unstract_worker_core.worker.definition import WorkerDefinition

TINY = WorkerDefinition(WorkerType.CALLBACK, "tiny", lambda app, runtime: None)


@pytest.mark.parametrize(
    ("variable", "status", "cause"),
    [
        ("CELERY_BACKEND_DB_SCHEMA=public", "ok", "DatabaseBackend answers"),
        ("CELERY_BACKEND_DB_PASSWORD=of-another", "fail", "user or password refused"),
        ("CELERY_BACKEND_DB_USER=of-another", "fail", "user or password refused"),
        ("CELERY_BACKEND_DB_NAME=of-another", "fail", "there is no database of this name"),
        ("CELERY_BACKEND_DB_SCHEMA=of-another", "fail", "there is no schema of this name"),
    ],
)
def test_a_result_database_is_used_or_the_cause_is_said(ground, variable, status, cause):
    name, _, value = variable.partition("=")
    variables = {"CHORD_COMPAT": "true", **ground.results.worker_settings, name: value}
    line = result_backend_line(TINY, settings_for(WorkerType.CALLBACK, **variables))
    assert line.status == status
    assert cause in line.detail

"""The service behind `word-count-later`: ``celery -A word_count.service worker -Q word_count``. Knows no worker."""

import os
from typing import Any

from celery import Celery

__all__ = ["app"]

# The task and the queue to which every executor that answers later sends its answers.
_ANSWER, _ANSWERS = "unstract_worker.executor_answer", "uw_executor_answers"

app = Celery("word_count.service", broker=os.environ.get("WORD_COUNT_BROKER_URL"))
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="word_count.count", acks_late=True)
def count(text: str, ticket: dict[str, Any]) -> None:
    """Count, and answer with the ticket exactly as it came. The same answer twice does no harm."""
    app.send_task(_ANSWER, ({"words": len(text.split())}, ticket), queue=_ANSWERS)

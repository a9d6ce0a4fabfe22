"""The executor `word-count-later`: sends the text to a service, whose answer comes back as a message.

While a file is with the service it holds no slot of the worker, and a worker that is killed meanwhile loses nothing.
"""

from typing import Any

from attrs import frozen
from celery import Celery
from kombu.exceptions import KombuError

from unstract_worker_core import serialization
from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.ledger import AnswerTicket
from unstract_worker_core.worker.broker import publishing_connection
from unstract_worker_core.worker.runtime import Runtime
from unstract_worker_file_processing.executor import FileFailed, FileRequest, MaybeSent, NotNow
from word_count.files import Files, files_of

__all__ = ["WordCountLater", "make"]

_QUEUE, _TASK = "word_count", "word_count.count"


@frozen
class WordCountLater:
    """A DeferredExecutor."""

    files: Files
    broker: BrokerSettings
    producer: Celery

    def prepare(self, request: FileRequest, *, timeout_seconds: float) -> str:
        """Read the file: all that may be repeated and costs nothing."""
        return self.files.text(request, timeout_seconds=timeout_seconds)

    def send(self, prepared: str, ticket: AnswerTicket) -> None:
        """Send the text to the service, with the ticket that its answer must bring along."""
        connection = publishing_connection(self.broker)
        errors = (KombuError, OSError, *connection.connection_errors, *connection.channel_errors)
        try:
            connection.connect()
        except errors as error:
            raise NotNow(f"the broker is away ({type(error).__name__})") from None
        arguments = (prepared, serialization.unstructure(ticket))
        try:
            self.producer.send_task(_TASK, arguments, queue=_QUEUE, connection=connection, retry=False)
        except errors as error:  # it may have arrived, although the confirmation did not
            raise MaybeSent(f"the broker did not confirm the message ({type(error).__name__})") from None
        finally:
            connection.release()

    def conclude(self, request: FileRequest, answer: Any, *, timeout_seconds: float) -> Any:
        """The result from the service's answer, after it was written to the destination where there is one."""
        if not isinstance(answer, dict) or not isinstance(answer.get("words"), int):
            raise FileFailed("the service's answer has no number of words")
        result = {"output": {"words": answer["words"]}}
        self.files.deliver(request, result)
        return result


def make(runtime: Runtime) -> WordCountLater:
    """What the entry point names."""
    producer = Celery("word_count", set_as_current=False)
    producer.conf.task_ignore_result = True
    return WordCountLater(files_of(runtime), runtime.settings.broker, producer)

"""The executor `word-count-later`: sends the text to a service, whose answer comes back as a message.

While a file is with the service it holds no slot of the worker, and a worker that is killed meanwhile loses nothing.
"""

import os
from typing import Any

from attrs import asdict, frozen
from celery import Celery
from kombu.exceptions import KombuError

from unstract_worker_core import ConfigurationError, Runtime
from unstract_worker_file_processing.executor import AnswerTicket, Fault, FileFailed, FileRequest, MaybeSent, NotNow
from word_count.files import Files, files_of

__all__ = ["WordCountLater", "make"]

_QUEUE, _TASK = "word_count", "word_count.count"


@frozen
class WordCountLater:
    """A DeferredExecutor."""

    files: Files
    producer: Celery

    def prepare(self, request: FileRequest, *, timeout_seconds: float) -> str:
        """Read the file: all that may be repeated and costs nothing."""
        return self.files.text(request, timeout_seconds=timeout_seconds)

    def send(self, prepared: str, ticket: AnswerTicket) -> None:
        """Send the text to the service, with the ticket that its answer must bring along."""
        with self.producer.connection_for_write() as connection:
            errors = (KombuError, OSError, *connection.connection_errors, *connection.channel_errors)
            try:
                connection.connect()
            except errors as error:
                raise NotNow(f"the service's broker is away ({type(error).__name__})") from None
            try:
                self.producer.send_task(
                    _TASK, (prepared, asdict(ticket)), queue=_QUEUE, connection=connection, retry=False
                )
            except errors as error:  # it may have arrived, although the confirmation did not
                raise MaybeSent(f"the broker did not confirm the message ({type(error).__name__})") from None

    def conclude(self, request: FileRequest, answer: Any, *, timeout_seconds: float) -> Any:
        """The result from the service's answer, after it was written to the destination where there is one."""
        if not isinstance(answer, dict) or not isinstance(answer.get("words"), int):
            raise FileFailed("the service's answer has no number of words")
        result = {"output": {"words": answer["words"]}}
        self.files.deliver(request, result)
        return result


def make(runtime: Runtime) -> WordCountLater:
    """What the entry point names. The service's broker is the executor's own setting. Raises ConfigurationError."""
    broker = os.environ.get("WORD_COUNT_BROKER_URL")
    if not broker:
        raise ConfigurationError((Fault("WORD_COUNT_BROKER_URL", "is required by the executor word-count-later"),))
    producer = Celery("word_count", broker=broker, set_as_current=False)
    producer.conf.update(
        task_ignore_result=True,
        broker_transport_options={"confirm_publish": True, "socket_timeout": 5, "socket_connect_timeout": 5},
    )
    return WordCountLater(files_of(runtime), producer)

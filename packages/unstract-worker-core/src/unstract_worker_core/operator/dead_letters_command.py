"""`dead-letters list|show|requeue`: messages that could not be processed, and sending them again."""

import json
import sys
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any
from uuid import uuid4

import click
from attrs import asdict, frozen

from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.ledger import DeadLetter
from unstract_worker_core.ledger.dead_letters import DeadLetterStore, StoredDeadLetter
from unstract_worker_core.operator.check import known_cause
from unstract_worker_core.operator.console import (
    EXIT_REFUSED,
    EXIT_UNAVAILABLE,
    EXIT_UNKNOWN,
    Access,
    act_on_each,
    confirm,
    fail,
    note_action,
    only_match,
    open_ledger,
    refuse_short,
    table,
)
from unstract_worker_core.queues import WORKER_QUEUES, queue_for
from unstract_worker_core.worker.broker import declared_queue, publish_task, publishing_connection
from unstract_worker_core.worker.definition import WorkerDefinition

_STARS = "***"
_KEPT_WHOLE_BELOW = 4096


class NotRequeueable(Exception):
    """Why the message of a dead letter cannot be sent again."""


class BrokerAway(Exception):
    """The broker did not accept the message; says why."""


@frozen
class Message:
    """A task message to be sent: its name and id, where to, and its arguments."""

    task: str
    task_id: str
    queue: str
    args: list[Any]
    kwargs: dict[str, Any]


def message_of(letter: DeadLetter, queue: str | None) -> Message:
    """The message of a dead letter, for `queue` or the queue that it came from. Raises NotRequeueable."""
    if letter.task in ("orchestrate", "finalise"):
        raise NotRequeueable("it is about a run that was closed: start the execution again at the platform")
    if not letter.body or not letter.task:
        raise NotRequeueable("nothing of its message was kept, as for every webhook: send it again from its source")
    if _STARS in letter.body:
        raise NotRequeueable("secrets in its message were removed: send it again from its source")
    target = queue or letter.queue or queue_for(letter.task)
    if not target:
        raise NotRequeueable(f"no queue is known for the task {letter.task}: name one with --queue")
    _check(target)
    args, kwargs = _arguments(letter)
    return Message(letter.task, letter.task_id or str(uuid4()), target, args, kwargs)


def publish(message: Message, broker: BrokerSettings) -> None:
    """Publish it, persistent and with its old id, so that a message that was accepted before is not accepted twice."""
    connection = publishing_connection(broker)
    try:
        _ = connection.default_channel  # connects, as the options say
        declared_queue(message.queue, broker)(connection.default_channel).declare()
        body = [message.args, message.kwargs, {}]
        publish_task(connection.producer, message.queue, message.task, message.task_id, body, delivery_mode=2)
    except connection.errors as error:
        raise BrokerAway(known_cause(error) or type(error).__name__) from None
    finally:
        connection.release()


def _check(queue: str) -> None:
    known = {name for entry in WORKER_QUEUES for name in (*entry.platform, *entry.own)}
    if queue not in known and not queue.replace("_", "").replace("-", "").isalnum():
        raise NotRequeueable("the queue's name must be letters, digits, _ and -")


def _arguments(letter: DeadLetter) -> tuple[list[Any], dict[str, Any]]:
    if len(letter.body) >= _KEPT_WHOLE_BELOW:
        raise NotRequeueable("its message was cut to 4 KiB when it was stored: send it again from its source")
    try:
        body = json.loads(letter.body)
    except ValueError:
        raise NotRequeueable("what was kept of its message is not JSON") from None
    if isinstance(body, list) and len(body) == 3:  # a whole message of Celery's protocol 2
        args, kwargs = body[0], body[1]
    elif isinstance(body, dict):
        args, kwargs = body.get("args", []), body.get("kwargs", {})
    else:
        args, kwargs = None, None
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise NotRequeueable("what was kept of its message is not a task's arguments")
    return args, kwargs


def dead_letters(definition: WorkerDefinition) -> click.Command:
    """The group of commands."""

    @click.group(help="Dead letters: messages that could not be processed, and why. List, show or send them again.")
    def group() -> None:
        """Without a command click prints the help."""

    @group.command("list", help="List the newest dead letters.")
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    @click.option("--offset", type=click.IntRange(0), default=0, help="Skip so many of the newest.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    def listed(*, limit: int, offset: int, as_json: bool) -> None:
        with open_ledger(definition) as access:
            store = access.ledger.dead_letters
            _list(store, list(islice(store.stored(offset), limit)), access, as_json=as_json)

    @group.command(help="Show one dead letter, with what was kept of its message.")
    @click.argument("letter_id")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    def show(*, letter_id: str, as_json: bool) -> None:
        with open_ledger(definition) as access:
            shown = _shown(_find(access.ledger.dead_letters, letter_id), access)
        click.echo(json.dumps(shown) if as_json else "\n".join(f"{name:<8} {value}" for name, value in shown.items()))

    @group.command(help="Send the messages again and remove the dead letters. May be repeated.")
    @click.argument("letter_ids", nargs=-1, required=True)
    @click.option("--queue", help="Send to this queue instead of the original one.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def requeue(*, letter_ids: tuple[str, ...], queue: str | None, yes: bool) -> None:
        with open_ledger(definition) as access:
            find = partial(_find, access.ledger.dead_letters)
            act_on_each(letter_ids, find, attrgetter("id"), lambda kept: _requeue(access, kept, queue, yes=yes))

    return group


def _list(store: DeadLetterStore, letters: list[StoredDeadLetter], access: Access, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"kept": store.count(), "letters": [_shown(kept, access) for kept in letters]}))
        return
    shown = (_shown(kept, access) for kept in letters)
    rows = ((one["id"], one["at"][:19], one["task"], one["queue"], one["reason"]) for one in shown)
    click.echo(table(("id", "at (UTC)", "task", "queue", "reason"), rows, terminal=sys.stdout.isatty()))
    click.echo(f"{len(letters)} of {store.count()} dead letters")


def _shown(kept: StoredDeadLetter, access: Access) -> dict[str, Any]:
    """The fields to show, redacted with the secrets known here: another worker may have stored it."""
    fields = {name: access.redactor.text(str(value)) for name, value in asdict(kept.letter).items()}
    return {"id": kept.id, **fields}


def _find(store: DeadLetterStore, letter_id: str) -> StoredDeadLetter:
    refuse_short(letter_id, listed_by="dead-letters list")
    letters = {kept.id: kept for kept in store.matching(letter_id)}
    found = only_match(letter_id, tuple(letters), "dead letters")
    if found is None:
        fail(f"there is no dead letter {letter_id}: it was requeued, or removed because newer ones came", EXIT_UNKNOWN)
    return letters[found]


def _requeue(access: Access, kept: StoredDeadLetter, queue: str | None, *, yes: bool) -> str:
    try:
        message = message_of(kept.letter, queue)
    except NotRequeueable as reason:
        fail(f"dead letter {kept.id} cannot be sent again: {reason}", EXIT_REFUSED)
    confirm(f"Send {message.task} ({message.task_id}) to {message.queue} again?", yes=yes)
    try:
        publish(message, access.settings.broker)
    except BrokerAway as error:
        fail(
            f"dead letter {kept.id} is kept: the broker did not accept it ({error}). Check CELERY_BROKER_BASE_URL.",
            EXIT_UNAVAILABLE,
        )
    access.ledger.dead_letters.remove(kept)
    note_action("requeue", letter=kept.id, task=message.task, task_id=message.task_id, queue=message.queue)
    return f"dead letter {kept.id}: {message.task} was sent to {message.queue}"

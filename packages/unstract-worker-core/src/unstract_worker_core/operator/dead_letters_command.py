"""`dead-letters list|show|requeue`: messages that could not be processed, and sending them again."""

import json
import sys
from itertools import islice
from typing import Any

import click
from attrs import asdict

from unstract_worker_core.ledger.dead_letters import DeadLetterStore, StoredLetter
from unstract_worker_core.operator.console import (
    AWAY,
    REFUSED,
    UNKNOWN,
    Access,
    confirm,
    note_action,
    opened,
    stop_here,
)
from unstract_worker_core.operator.requeue import BrokerAway, NotWhole, message_of, publish
from unstract_worker_core.operator.tables import table
from unstract_worker_core.worker.definition import WorkerDefinition

__all__ = ["dead_letters"]


def dead_letters(definition: WorkerDefinition) -> click.Command:
    """The group of commands."""

    @click.group(help="Messages that could not be processed: what they were and why, and sending them again.")
    def group() -> None:
        """Nothing is common to the commands."""

    @group.command("list", help="The newest letters.")
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    @click.option("--offset", type=click.IntRange(0), default=0, help="Skip that many of the newest.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    def listed(*, limit: int, offset: int, as_json: bool) -> None:
        with opened(definition) as access:
            store = access.ledger.dead_letters
            _list(store, list(islice(store.letters(offset), limit)), access, as_json=as_json)

    @group.command(help="One letter, with what was kept of its message.")
    @click.argument("letter_id")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    def show(*, letter_id: str, as_json: bool) -> None:
        with opened(definition) as access:
            told = _told(_found(access.ledger.dead_letters, letter_id), access)
        click.echo(json.dumps(told) if as_json else "\n".join(f"{name:<8} {value}" for name, value in told.items()))

    @group.command(help="Send letters' messages again and take the letters out. Repeating it does no harm.")
    @click.argument("letter_ids", nargs=-1, required=True)
    @click.option("--queue", help="Send to this queue instead of the one that each came from.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def requeue(*, letter_ids: tuple[str, ...], queue: str | None, yes: bool) -> None:
        with opened(definition) as access:
            for letter_id in letter_ids:
                _requeue(access, letter_id, queue, yes=yes)

    return group


def _list(store: DeadLetterStore, letters: list[StoredLetter], access: Access, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"kept": store.count(), "letters": [_told(kept, access) for kept in letters]}))
        return
    shown = (_told(kept, access) for kept in letters)
    rows = ((told["id"], told["at"][:19], told["task"], told["queue"], told["reason"]) for told in shown)
    click.echo(table(("letter", "at (UTC)", "task", "queue", "reason"), rows, terminal=sys.stdout.isatty()))
    click.echo(f"{len(letters)} of {store.count()} letters")


def _told(kept: StoredLetter, access: Access) -> dict[str, Any]:
    """A letter for people; redacted again with what is secret here: another worker may have kept it."""
    fields = {name: access.redactor.text(str(value)) for name, value in asdict(kept.letter).items()}
    return {"id": kept.id, **fields}


def _found(store: DeadLetterStore, letter_id: str) -> StoredLetter:
    kept = store.find(letter_id)
    if kept is None:
        stop_here(f"there is no letter {letter_id}: it was requeued, or pushed out by newer ones", UNKNOWN)
    return kept


def _requeue(access: Access, letter_id: str, queue: str | None, *, yes: bool) -> None:
    store = access.ledger.dead_letters
    kept = _found(store, letter_id)
    try:
        message = message_of(kept.letter, queue)
    except NotWhole as reason:
        stop_here(f"letter {letter_id} cannot be sent again: {reason}", REFUSED)
    confirm(f"Send {message.task} ({message.task_id}) to {message.queue} again?", yes=yes)
    try:
        publish(message, access.settings.broker)
    except BrokerAway as error:
        stop_here(f"the broker did not take it ({error}); the letter is kept. Look at CELERY_BROKER_BASE_URL.", AWAY)
    store.remove(kept)
    note_action("requeue", letter=letter_id, task=message.task, task_id=message.task_id, queue=message.queue)
    click.echo(f"letter {letter_id}: {message.task} was sent to {message.queue}")

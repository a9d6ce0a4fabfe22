"""Where the page looks, the parts of a stack that it is given; and what it shows beside the rows of these."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from unstract_devstack.page.backend_rows import BackendRows
from unstract_devstack.page.ledger_keys import LedgerKeys
from unstract_devstack.sink import Delivery


@frozen
class WorkerLine:
    """A worker process that was started with the stack."""

    name: str
    running: bool
    health_url: str = ""


@frozen
class Start:
    """A button: what it says, what it does in a few words, and the doing, which returns the execution's id.

    `run` raises CallFailed where the backend refuses.
    """

    label: str
    about: str
    run: Callable[[], str | None] = field(repr=False)


@frozen
class Sources:
    """Everything that the page reads, and what it offers to start: each raises CallFailed where the backend refuses.

    `log_events` gives the events of a channel, oldest first, and raises CallFailed where they cannot be had. `upload`
    sends files (name and content) to the example's API deployment and returns the execution's id. `actions` are
    `retry`, of an execution that has ended, and `abort`, of one that has not; each returns the id of a new execution,
    if there is one.
    """

    backend: BackendRows
    ledger: LedgerKeys
    log_events: Callable[[str], Sequence[Any]] = lambda channel: ()
    deliveries: Callable[[], Sequence[Delivery]] = lambda: ()
    workers: Callable[[], Sequence[WorkerLine]] = lambda: ()
    starts: Mapping[str, Start] = field(factory=dict)
    upload: Callable[[Sequence[tuple[str, bytes]]], str] | None = None
    actions: Mapping[str, Callable[[sqlite3.Row], str | None]] = field(factory=dict)

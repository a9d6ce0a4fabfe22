"""Where the page looks: the parts of a stack that it is given."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from unstract_devstack.page.backend_rows import BackendRows
from unstract_devstack.page.ledger_keys import LedgerKeys
from unstract_devstack.page.shapes import WorkerLine
from unstract_devstack.sink import Delivery


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
    """Everything that the page reads, and the starts that it offers by name.

    `log_events` gives the events of a channel, oldest first, and raises CallFailed where they cannot be had.
    """

    backend: BackendRows
    ledger: LedgerKeys
    log_events: Callable[[str], Sequence[Any]] = lambda channel: ()
    deliveries: Callable[[], Sequence[Delivery]] = lambda: ()
    workers: Callable[[], Sequence[WorkerLine]] = lambda: ()
    starts: Mapping[str, Start] = field(factory=dict)

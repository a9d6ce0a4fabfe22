"""What the ledger should hold, as plain values."""

from attrs import Factory, define

from unstract_worker_core.ledger import RunState
from unstract_worker_core.statuses import RunKind

RUNS = {"run-a": RunKind.ETL, "run-b": RunKind.API}


@define
class Lease:
    """Who holds something, in the model."""

    owner: str = ""
    live: bool = False
    fence: int = 0
    file: int = 0

    def held_by(self, token: str) -> bool:
        return bool(self.owner) and self.owner == token

    def take(self, token: str) -> None:
        self.owner, self.live, self.fence = token, True, self.fence + 1

    def let_go(self) -> None:
        self.owner, self.live, self.file = "", False, 0


@define
class Request:
    """A request to an executor that answers later.

    `over`: its answer is not awaited any longer. `before`, `charge`: what its withdrawal restores.
    """

    state: str
    nonce: str
    over: bool = False
    charged: bool = False
    before: "Request | None" = None
    charge: int = 0


@define
class Run:
    """What the ledger should hold of a run, and what was sent for it.

    `sent`, `withdrawn`, `charged_requests`: by file, how often a worker was to send it, it certainly was not sent, and
    it was charged because the time of a request was over. `forgiven`: charges that its answer ended.
    """

    state: RunState | None = None
    epoch: int = 0
    attempts: int = 0
    stop: bool = False
    lease: Lease = Factory(Lease)
    files: list[list[int]] = Factory(list)
    leases: list[Lease] = Factory(list)
    rung: set[int] = Factory(set)
    outcomes: dict[int, int] = Factory(dict)
    results: dict[int, str] = Factory(dict)
    charges: dict[int, int] = Factory(dict)
    journal: dict[str, str] = Factory(dict)
    requests: dict[int, Request] = Factory(dict)
    answers: dict[int, str] = Factory(dict)
    executed: set[int] = Factory(set)
    sent: dict[int, int] = Factory(dict)
    withdrawn: dict[int, int] = Factory(dict)
    charged_requests: dict[int, int] = Factory(dict)
    forgiven: dict[int, int] = Factory(dict)

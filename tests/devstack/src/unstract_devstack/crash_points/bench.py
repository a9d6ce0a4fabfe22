"""A fleet on which workers are killed one after the other, and one trial: a worker dies at its point, a supervisor
starts it again, and the history must look as if nothing was."""  # fmt: skip

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from attrs import asdict, define, field, frozen

from unstract_devstack.crash_points.places import Trial
from unstract_devstack.crash_points.scenarios import SCENARIOS, Expected, Ground
from unstract_devstack.crash_points.verdict import Seen, ended, look, problems
from unstract_devstack.processes import wait_until
from unstract_devstack.sink import Answer
from unstract_devstack.stack import running_stack

SETTINGS = {
    # Long enough that a worker of a busy machine renews it: each lapse is a try of its file, and a file has three.
    "WORKER_LEASE_SECONDS": "3",
    "WORKER_SWEEP_SECONDS": "0.2",
    "WORKER_FIRST_RING_WAIT": "0.5",
    "WORKER_MAX_RING_WAIT": "2",
    "WORKER_RECHECK_SECONDS": "1",
    "INTERNAL_API_RETRY_ATTEMPTS": "0",
    "CHORD_COMPAT": "true",
    "CELERY_RESULT_CHORD_RETRY_INTERVAL": "0.2",
}
REACH_SECONDS = 60.0
END_SECONDS = 90.0
PREFORK = {"CELERY_POOL_TYPE": "prefork", "CELERY_CONCURRENCY": "2"}
# Of the ledger and of kombu: looked at to see that all is quiet, never to judge.
OPEN_RUNS, UNACKNOWLEDGED = "uw:open", "uw_unacked_index"


@frozen
class Verdict:
    """What became of one trial. `seconds`: from the kill until everything had ended."""

    trial: str
    point: str
    reached: bool
    problems: tuple[str, ...] = ()
    seconds: float = 0.0

    @classmethod
    def missing(cls, trial: Trial, problem: str) -> "Verdict":
        """What is said of a trial that was not made."""
        return cls(str(trial), trial.point, reached=False, problems=(problem,))

    @property
    def ok(self) -> bool:
        """Whether the worker died there and nothing came of it."""
        return self.reached and not self.problems

    def __str__(self) -> str:
        word = "ok" if self.ok else "WRONG" if self.reached else "NOT REACHED"
        return "\n    ".join((f"{word:<11}  {self.seconds:5.1f} s  {self.trial}", *self.problems))


@define
class Bench:
    """Makes trials on one fleet, one after the other."""

    ground: Ground
    _usual: dict[str, Seen] = field(factory=dict, init=False)
    _last: int = field(default=0, init=False)

    def make(self, trial: Trial) -> Verdict:
        """Kill a worker as the trial says, and look."""
        usual = self._usual_of(trial)
        ground, kind = self.ground, trial.place.worker
        expected, process = self._sent(trial), self.ground.worker(kind).process
        log_end, more = process.log_end(), PREFORK if trial.dies != "worker" else {}
        if trial.point.startswith("ledger.record_file"):  # else a batch that ends within a second never gets there
            more = {**more, "WORKER_STATUS_SECONDS": "0"}
        ground.start(kind, WORKER_CRASH_POINT=trial.armed, WORKER_CRASH_TESTING="1", **more)
        said = f"crash point {trial.point} reached"
        reached = wait_until(lambda: said in process.log_after(log_end), seconds=REACH_SECONDS, pause=0.05)
        died = time.monotonic()
        child = trial.dies == "child"
        if not (reached and child):  # a child's end is its parent's business
            self._restart(trial)
        found = self._ended(expected)
        took = time.monotonic() - died
        if child:
            self._restart(trial)
        found.extend(problems(look(ground, expected, after=self._last), expected, trial.mode, usual))
        found.extend(f"{worker.name} ended" for worker in ground.fleet.workers.values() if not worker.running)
        return Verdict(str(trial), trial.point, reached, tuple(found), round(took, 2))

    def _usual_of(self, trial: Trial) -> Seen:
        """The same without a kill, from the first time that it was asked for."""
        scenario = trial.place.scenario
        if scenario not in self._usual:
            expected = self._sent(trial)
            self.ground.start(trial.place.worker)
            late = self._ended(expected)
            seen = look(self.ground, expected, after=self._last)
            wrong = [*problems(seen, expected, trial.mode, None), *late]
            if wrong:
                raise AssertionError(f"{scenario} goes wrong without a kill: {wrong}")
            self._usual[scenario] = seen
        return self._usual[scenario]

    def _sent(self, trial: Trial) -> Expected:
        """What was sent while the worker that is to die is away, so that nothing escapes it."""
        ground = self.ground
        ground.worker(trial.place.worker).kill()
        ground.backend.dev("DELETE", "faults")
        ground.sink.answer = Answer()
        ground.forget_executor()
        self._last = max((effect.id for effect in ground.backend.dev.effects(after=self._last)), default=self._last)
        return SCENARIOS[trial.place.scenario](ground)

    def _restart(self, trial: Trial) -> None:
        """What a supervisor does; and a minute passes for the broker: unacknowledged messages are delivered again."""
        process = self.ground.worker(trial.place.worker).process
        if not process.wait(seconds=2.0):
            process.kill()
        with self.ground.redis.client() as client:
            for tag in client.zrange(UNACKNOWLEDGED, 0, -1):
                client.zadd(UNACKNOWLEDGED, {tag: 1}, xx=True)
        self.ground.start(trial.place.worker)

    def _ended(self, expected: Expected) -> list[str]:
        """Waits until all is over; what is not."""
        seconds = END_SECONDS + expected.waits
        over = wait_until(lambda: ended(self.ground, expected) and not self._unrest(), seconds=seconds, pause=0.15)
        left = "" if over else self._unrest() or "all is quiet, and not every subscriber was notified"
        return [f"not over after {seconds:.0f} s: {left}"] if left else []

    def _unrest(self) -> str:
        """What is still under way: open runs and messages that a worker holds. Empty when all is quiet."""
        with self.ground.redis.client() as client:
            runs, held = client.scard(OPEN_RUNS), client.zcard(UNACKNOWLEDGED)
        return f"{runs} runs are open, {held} messages are held" if runs or held else ""


@contextlib.contextmanager
def open_bench(directory: Path, mode: str) -> Iterator[Bench]:
    """A fleet in `directory` until the block is left, one worker of each kind, on a backend in this mode."""
    results = f"db+sqlite:///{directory}/results.sqlite?timeout=30"
    settings = {**SETTINGS, "CELERY_RESULT_BACKEND": results}
    options = ("--mode", mode, "--club-seconds", "0.1", "--upload-rules", "none")
    stack = running_stack(directory, settings=settings, backend_options=options, appendonly=False, executor=True)
    with stack as running:
        yield Bench(Ground(**asdict(running, recurse=False), results_url=results))

"""One trial: a worker dies at its point, a supervisor starts it again, and the history must look as if nothing was."""

import time

from attrs import define, field, frozen

from unstract_devstack.crash_points.ground import Ground
from unstract_devstack.crash_points.places import Trial
from unstract_devstack.crash_points.scenarios import SCENARIOS, Expected
from unstract_devstack.crash_points.verdict import Seen, ended, look, problems
from unstract_devstack.processes import wait_until
from unstract_devstack.sink import Answer

REACH_SECONDS = 60.0
END_SECONDS = 90.0
PREFORK = {"CELERY_POOL_TYPE": "prefork", "CELERY_CONCURRENCY": "2"}


@frozen
class Verdict:
    """What became of one trial. `seconds`: from the kill until everything had ended."""

    trial: str
    point: str
    reached: bool
    problems: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the worker died there and nothing came of it."""
        return self.reached and not self.problems


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
        expected = self._sent(trial)
        length = ground.log_length(kind)
        more = PREFORK if trial.pool == "prefork" else {}
        if trial.point.startswith("ledger.record_file"):  # else a batch that ends within a second never gets there
            more = {**more, "WORKER_STATUS_SECONDS": "0"}
        ground.start(kind, WORKER_CRASH_POINT=trial.armed, WORKER_CRASH_TESTING="1", **more)
        said = f"crash point {trial.point} reached"
        reached = wait_until(lambda: ground.said(kind, said, after=length), seconds=REACH_SECONDS, pause=0.05)
        died = time.monotonic()
        child = trial.pool == "prefork" and not trial.group
        if not (reached and child):  # a child's end is its parent's business
            self._restart(trial)
        found = self._ended(expected)
        took = time.monotonic() - died
        if child:
            self._restart(trial)
        found.extend(problems(self._seen(expected), expected, trial.mode, usual))
        found.extend(f"{worker.name} ended" for worker in ground.stack.fleet.workers.values() if not worker.running)
        return Verdict(str(trial), trial.point, reached, tuple(found), round(took, 2))

    def _usual_of(self, trial: Trial) -> Seen:
        """The same without a kill, from the first time that it was asked for."""
        scenario = trial.place.scenario
        if scenario not in self._usual:
            expected = self._sent(trial)
            self.ground.start(trial.place.worker)
            late = self._ended(expected)
            seen = self._seen(expected)
            wrong = [*problems(seen, expected, trial.mode, None), *late]
            if wrong:
                raise AssertionError(f"{scenario} goes wrong without a kill: {wrong}")
            self._usual[scenario] = seen
        return self._usual[scenario]

    def _sent(self, trial: Trial) -> Expected:
        """What was sent while the worker that is to die is away, so that nothing escapes it."""
        ground = self.ground
        ground.worker(trial.place.worker).kill()
        ground.dev("DELETE", "faults")
        ground.sink.answer = Answer()
        ground.forget_executor()
        self._last = max((effect.id for effect in ground.effects(after=self._last)), default=self._last)
        return SCENARIOS[trial.place.scenario](ground)

    def _restart(self, trial: Trial) -> None:
        """What a supervisor does."""
        process = self.ground.worker(trial.place.worker).process
        if not process.wait(seconds=2.0):
            process.kill()
        self.ground.let_messages_return()
        self.ground.start(trial.place.worker)

    def _ended(self, expected: Expected) -> list[str]:
        """Waits until all is over; what is not."""
        ground, seconds = self.ground, END_SECONDS + expected.waits
        if wait_until(lambda: ended(ground, expected) and not ground.unrest(), seconds=seconds, pause=0.15):
            return []
        return [
            f"not over after {seconds:.0f} s: {ground.unrest() or 'all is quiet, and not every subscriber was notified'}"
        ]

    def _seen(self, expected: Expected) -> Seen:
        return look(self.ground, expected, after=self._last)

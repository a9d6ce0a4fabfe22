"""Rules for requests to executors that answer later: steps on claimed batches, and answers from anywhere."""

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from unstract_worker_core.errors import LeaseLost
from unstract_worker_core.ledger import BatchClaim, ExecutorAnswer, Intent, RunState

from .machine_model import RUNS, Lease, Request, Run
from .machine_runs import RunRules, picks, runs

MAX_CHARGES = 3  # as Driver.intend has it

batches = st.integers(min_value=0, max_value=1)
numbers = st.integers(min_value=1, max_value=3)


class RequestRules(RunRules):
    """A request is sent, its answer comes at any time, by way of any worker, once, twice or never."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_claims: list[BatchClaim] = []
        self.fences: dict[tuple[str, int], int] = {}
        self.nonces = 0

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks)
    def start_file(self, pick: int, which: int) -> None:
        claim, model, lease = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        stop = self.unless_lost(lambda: self.driver.ledger.batches.start_file(claim, number))
        assert stop == (None if lease is None else model.stop)
        if lease is not None:
            lease.file = number
            self._wrote(claim)

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks, repeated=st.booleans())
    def intend(self, pick: int, which: int, repeated: bool) -> None:
        claim, model, lease = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        before = model.requests.get(number)
        nonce = before.nonce if before and repeated else self._nonce()
        try:
            intent = self.driver.intend(claim, number, nonce)
        except LeaseLost:
            assert lease is None
            return
        assert lease is not None
        assert intent is self._intent(model, number, nonce)

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks, own=st.booleans())
    def published(self, pick: int, which: int, own: bool) -> None:
        claim, model, lease = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        request = model.requests.get(number)
        nonce = request.nonce if request and own else self._nonce()
        noted = self.driver.ledger.requests.published(claim, number, nonce, wait_seconds=60)
        assert noted == (model.state is not RunState.DONE and request is not None and own)
        if noted and request is not None:
            if request.state == "intended":
                request.state, request.over = "published", False
            if lease is not None and lease.file == number:
                lease.file = 0

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks, own=st.booleans())
    def withdraw(self, pick: int, which: int, own: bool) -> None:
        claim, model, _ = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        request = model.requests.get(number)
        nonce = request.nonce if request and own else self._nonce()
        self.driver.ledger.requests.withdraw(claim, number, nonce)
        if request is not None and own and request.state == "intended":
            model.withdrawn[number] = model.withdrawn.get(number, 0) + 1
            del model.requests[number]
            if request.before is not None:
                model.requests[number] = request.before
                model.charged_requests[number] -= 1
            if request.charge:
                model.charges[number] = model.charges.get(number, 0) - request.charge
                if model.charges[number] <= 0:
                    del model.charges[number]

    @rule(run=runs, batch=batches, number=numbers, value=st.sampled_from("xyz"), epoch=st.sampled_from([1, 1, 1, 2]))
    def answer(self, run: str, batch: int, number: int, value: str, epoch: int) -> None:
        """An answer that is expected, repeated, late, or to what was never asked."""
        model = self.runs[run]
        if model.state is RunState.ARMED and number not in {n for each in model.files[batch : batch + 1] for n in each}:
            return  # a ticket names the batch that its file is in
        recorded = self.driver.answer(run, number, value, batch=batch, epoch=epoch)
        taken = (
            model.state is RunState.ARMED
            and epoch == model.epoch
            and number in model.requests
            and number not in model.results
            and number not in model.executed
            and model.answers.get(number, value) == value
        )
        assert recorded.late == (not taken)
        if not taken:
            assert recorded.ring is None
            return
        if number not in model.answers:
            model.forgiven[number] = model.forgiven.get(number, 0) + model.charges.pop(number, 0)
        model.answers[number] = value
        lease = model.leases[batch]
        assert recorded.ring is (None if lease.owner and lease.live else RUNS[run])
        if recorded.ring:
            model.rung.add(batch)
            self.doorbells.append((run, batch))

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks)
    def park(self, pick: int, which: int) -> None:
        claim, model, lease = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        answer = self.driver.ledger.requests.park(claim, number, delay_seconds=300)
        known = model.answers.get(number) if lease is not None else None
        assert answer == (None if known is None else ExecutorAnswer(known))
        if lease is not None and known is None:
            lease.let_go()

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks)
    def note_executed(self, pick: int, which: int) -> None:
        claim, model, lease = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        ended = model.state is not RunState.DONE and number in model.results
        kept = self.unless_lost(lambda: self.driver.ledger.batches.note_executed(claim, number, {}) or "ok")
        assert (kept == "ok") == (lease is not None or ended)
        if lease is not None and not ended:
            model.executed.add(number)
            model.answers.pop(number, None)

    # Time.

    @rule(run=runs, batch=batches)
    def lapse_batch(self, run: str, batch: int) -> None:
        model = self.runs[run]
        if model.state is RunState.ARMED and batch < len(model.leases):
            model.leases[batch].live = False
            self.driver.lapse_batch(run, batch)

    @rule(run=runs, number=numbers)
    def lapse_request(self, run: str, number: int) -> None:
        request = self.runs[run].requests.get(number)
        if self.runs[run].state is not RunState.DONE and request is not None:
            request.over = True
            self.driver.lapse_request(run, number)

    # What happens to each file of a run with such an executor, in two rules, so that it happens often.

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks, dies=st.sampled_from(["intended", "published", "parked"]), sooner=st.booleans())
    def send_file(self, pick: int, which: int, dies: str, sooner: bool) -> None:
        """An owner sends a file off and dies, or parks the batch; the answer may be sooner than the next owner."""
        claim, _, _ = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        self.start_file(pick, which)
        self.intend(pick, which, repeated=False)
        if dies != "intended":
            self.published(pick, which, own=True)
        if dies == "parked":
            self.park(pick, which)
        else:
            self.lapse_batch(claim.run_id, claim.batch)
        if sooner:
            self.answer(claim.run_id, claim.batch, number, "x", 1)
        self.claim_batch(claim.run_id, claim.batch, 1)
        self.intend(0, which, repeated=False)

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks, withdrawn=st.integers(min_value=1, max_value=3), restarted=st.booleans())
    def send_again_in_vain(self, pick: int, which: int, withdrawn: int, restarted: bool) -> None:
        """The time of a request is over, later ones are not sent, and then its answer comes."""
        claim, model, _ = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        self.intend(pick, which, repeated=False)
        for _ in range(withdrawn):
            if number in model.requests:
                self.lapse_request(claim.run_id, number)
            self.intend(pick, which, repeated=False)
            if restarted:
                self.lapse_batch(claim.run_id, claim.batch)
            self.withdraw(pick, which, own=True)
        self.answer(claim.run_id, claim.batch, number, "x", 1)

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks)
    def conclude_file(self, pick: int, which: int) -> None:
        """A file is sent off, its answer is made its result, and comes again."""
        claim, _, _ = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        self.intend(pick, which, repeated=False)
        for _ in range(2):
            self.answer(claim.run_id, claim.batch, number, "x", 1)
            self.note_executed(pick, which)

    @invariant()
    def the_ledger_holds_the_models_requests_and_answers(self) -> None:
        for run, model in self.runs.items():
            is_open = model.state not in (None, RunState.DONE)
            found = self.driver.requests(run)
            assert found == ({n: (each.state, each.nonce) for n, each in model.requests.items()} if is_open else {})
            assert self.driver.answers(run) == (model.answers if is_open else {})

    @invariant()
    def a_file_is_sent_again_only_at_its_charge_or_if_it_was_not_sent(self) -> None:
        """Without it a kill on our side would cost an extraction."""
        for model in self.runs.values():
            for number, sent in model.sent.items():
                assert sent <= 1 + model.charged_requests.get(number, 0) + model.withdrawn.get(number, 0)
                charges = model.charges.get(number, 0) + model.forgiven.get(number, 0)
                assert model.charged_requests.get(number, 0) <= charges

    @invariant()
    def an_answer_to_a_request_that_may_be_out_is_awaited(self) -> None:
        """The ledger keeps the request of a file without an outcome, also while a later one is sent or withdrawn."""
        for model in self.runs.values():
            for number, sent in model.sent.items():
                may_be_out = sent > model.withdrawn.get(number, 0)
                assert not may_be_out or number in model.requests or number in model.results

    # How the model answers.

    def _intent(self, model: Run, number: int, nonce: str) -> Intent:
        before = model.requests.get(number)
        if number in model.answers or number in model.executed or number in model.results:
            return Intent.ANSWERED
        if before is not None and before.nonce == nonce:
            return Intent.GIVEN_UP if before.state == "given_up" else Intent.SEND
        if before is not None and not before.over:
            return Intent.WAITING
        if model.stop:
            return Intent.STOPPED
        state, charge = "intended", 0
        if before is not None and before.state != "given_up":
            charge = int(not before.charged)
            model.charges[number] = model.charges.get(number, 0) + charge
            model.charged_requests[number] = model.charged_requests.get(number, 0) + 1
            state = "given_up" if model.charges[number] >= MAX_CHARGES else state
        model.requests[number] = Request(state, nonce, before=before, charge=charge)
        if state == "given_up":
            return Intent.GIVEN_UP
        model.sent[number] = model.sent.get(number, 0) + 1
        return Intent.SEND

    def _nonce(self) -> str:
        self.nonces += 1
        return f"nonce-{self.nonces}"

    def _batch_claim(self, pick: int) -> tuple[BatchClaim, Run, Lease | None]:
        claim = self.batch_claims[-1 - pick % len(self.batch_claims)]
        model = self.runs[claim.run_id]
        lease = model.leases[claim.batch]
        held = model.state is RunState.ARMED and lease.held_by(claim.token)
        return claim, model, lease if held else None

    def claim_batch(self, run: str, batch: int, epoch: int) -> None:
        model, token = self.runs[run], self.driver.token()
        answer = self.driver.ask_batch(run, batch, token, epoch)
        if model.state is not RunState.ARMED or epoch != 1:
            assert answer.reason == "closed"
            return
        if batch in model.outcomes or batch >= len(model.files):
            assert answer.reason == ("done" if batch in model.outcomes else "unknown")
            return
        model.rung.discard(batch)
        lease = model.leases[batch]
        if lease.owner and lease.live:
            assert answer.reason == "busy"
            return
        if lease.owner and lease.file:
            model.charges[lease.file] = model.charges.get(lease.file, 0) + 1
            if lease.file in model.requests:
                model.requests[lease.file].charged = True
        lease.take(token)
        lease.file = 0
        numbers = model.files[batch]
        assert (answer.fence, answer.stop) == (lease.fence, model.stop)
        assert [item.number for item in answer.files] == numbers
        assert answer.recorded == {number for number in numbers if number in model.results}
        assert answer.charges == {number: model.charges[number] for number in numbers if number in model.charges}
        assert set(answer.executed) == {number for number in numbers if number in model.executed}
        asked = {number: model.requests[number] for number in numbers if number in model.requests}
        awaited = {number: (each.published, each.seconds_left > 0) for number, each in answer.requests.items()}
        assert awaited == {
            number: (each.state == "published", not each.over and each.state != "given_up")
            for number, each in asked.items()
        }
        reported = {number: ExecutorAnswer(model.answers[number]) for number in numbers if number in model.answers}
        assert answer.answers == reported
        self.batch_claims.append(answer)

    def _wrote(self, claim: BatchClaim) -> None:
        """The fence of each accepted write is at least all earlier ones."""
        key = (claim.run_id, claim.batch)
        assert claim.fence >= self.fences.get(key, 0)
        self.fences[key] = claim.fence

"""The breaker: opens on a backend that is away, lets one trial through, closes by itself."""

import threading

import pytest

from unstract_worker_core.backend import Breaker, call
from unstract_worker_core.backend.breaker import BreakerOpen
from unstract_worker_core.backend.executions import TokenUsage
from unstract_worker_core.backend.files import FileToExecute
from unstract_worker_core.errors import BackendError, BackendRefused, BackendUnavailable, UnexpectedAnswer
from unstract_worker_core.observability.metrics import Metrics

ORG = "org_alpha"
ID = "00000000-0000-0000-0000-000000000802"
USAGE = {"success": True, "data": {"usage": {}}}
FILE = (ID, ID, FileToExecute(name="a.txt", file_path="/in/a.txt"))


def ask(backend):
    return backend.usage.tokens(ORG, ID)


def fail(backend, kind=BackendError):
    with pytest.raises(kind) as failure:
        ask(backend)
    return failure.value


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def backend(backend_with, clock, metrics):
    return backend_with(
        metrics, clock=clock, breaker_wait=0.0, breaker_threshold=2, breaker_recovery=60.0, retry_attempts=2
    )


def test_opens_sheds_tries_once_and_closes(server, backend, clock, metrics):
    server.answer(server.status(503))
    fail(backend, BackendUnavailable)
    assert backend.breaker.state == "closed"
    fail(backend, BackendUnavailable)
    assert len(server.received) == 6
    assert backend.breaker.state == "open"
    assert 4.0 <= backend.breaker.seconds_until_trial() <= 6.0
    assert b"unstract_worker_breaker_open 1.0" in metrics.render()

    shed = fail(backend, BackendUnavailable)
    assert "circuit breaker is open" in str(shed)
    assert shed.retryable
    assert len(server.received) == 6

    clock.now += 6
    assert backend.breaker.state == "half-open"
    assert backend.breaker.seconds_until_trial() == 0.0
    fail(backend, BackendUnavailable)
    assert len(server.received) == 7  # one trial, not retried
    assert backend.breaker.state == "open"

    clock.now += 60
    server.answer(server.sends(USAGE))
    ask(backend)
    assert backend.breaker.state == "closed"
    assert b"unstract_worker_breaker_open 0.0" in metrics.render()
    ask(backend)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_once_and_shows_until_it_is_accepted(server, backend, metrics, capsys, status):
    def shown():
        return b"unstract_worker_backend_key_refused 1.0" in metrics.render()

    server.answer(server.status(status))
    for _ in range(3):
        fail(backend, BackendRefused)
    assert shown()
    server.answer(server.status(503))
    fail(backend, BackendUnavailable)
    assert shown(), "a backend that is away says nothing about the key"
    server.answer(server.sends(USAGE))
    ask(backend)
    assert not shown()
    reported = capsys.readouterr().out
    assert reported.count("refuses the API key") == reported.count("accepts the API key again") == 1


@pytest.mark.parametrize("what", ["400", "404", "500", "429", "200 error", "200 html", "302"])
def test_an_answer_of_any_kind_is_a_backend_that_is_there(server, backend, what):
    server.answer(
        {
            "200 error": server.sends({"status": "error", "error": "no"}),
            "200 html": server.html(),
        }.get(what)
        or server.status(int(what))
    )
    for _ in range(5):
        fail(backend)
    assert backend.breaker.state == "closed"


@pytest.mark.parametrize("what", ["502", "503", "504", "cut", "truncated"])
def test_a_backend_that_is_away_opens_it(server, backend, what):
    server.answer(getattr(server, what)() if what.isalpha() else server.html(int(what)))
    for _ in range(2):
        fail(backend)
    assert backend.breaker.state == "open"


def test_no_connection_opens_it(backend_with, free_port):
    backend = backend_with(base_url=f"http://127.0.0.1:{free_port}/internal", breaker_threshold=1)
    fail(backend, BackendUnavailable)
    assert backend.breaker.state == "open"


def test_success_in_between_starts_the_count_again(server, backend):
    server.answer(*[server.status(503)] * 3, server.sends(USAGE), *[server.status(503)] * 3, server.sends(USAGE))
    fail(backend)
    ask(backend)
    fail(backend)
    assert backend.breaker.state == "closed"


def test_one_trial_for_all_threads(clock):
    breaker = Breaker(1, 60.0, clock=clock)
    breaker.failed()
    clock.now += 60
    admitted, gate = [], threading.Barrier(8)

    def enter():
        gate.wait()
        try:
            admitted.append(breaker.admit())
        except BreakerOpen as closed:
            admitted.append(closed.seconds)

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert admitted.count(True) == 1
    assert len([seconds for seconds in admitted if 8.0 <= seconds <= 12.0]) == 7
    assert breaker.state == "half-open"


def test_a_trial_that_never_reports_does_not_lock_everybody_out(clock):
    breaker = Breaker(1, 60.0, clock=clock)
    breaker.failed()
    clock.now += 60
    assert breaker.admit() is True
    with pytest.raises(BreakerOpen):
        breaker.admit()
    clock.now += 60
    assert breaker.admit() is True


def test_late_failures_do_not_prolong_it(clock):
    heard = []
    breaker = Breaker(1, 60.0, clock=clock, on_change=heard.append)
    breaker.failed()
    clock.now += 3
    until_trial = breaker.seconds_until_trial()
    breaker.failed()
    assert breaker.seconds_until_trial() == until_trial
    assert heard == ["open"]
    breaker.succeeded()
    breaker.succeeded()
    assert heard == ["open", "closed"]


def test_trials_come_twice_as_late_each_time_up_to_the_limit(clock):
    breaker, waits = Breaker(1, 30.0, clock=clock), []
    breaker.failed()
    for _ in range(5):
        waits.append(breaker.seconds_until_trial())
        clock.now += waits[-1]
        assert breaker.admit() is True
        breaker.failed()
    for wait, interval in zip(waits, (5, 10, 20, 30, 30), strict=True):
        assert 0.8 * interval <= wait <= 1.2 * interval
    assert len({round(wait / interval, 6) for wait, interval in zip(waits, (5, 10, 20, 30, 30), strict=True)}) > 1


def test_the_first_answer_lets_all_go_on_that_wait(server, backend_with):
    """The breaker is open: one call is a trial, the others wait for it and go on at once when it is answered."""
    backend = backend_with(breaker_threshold=1, breaker_wait=30.0, retry_attempts=0)
    server.answer(server.status(503))
    fail(backend)
    hold, answered = threading.Event(), []

    def held(handler):
        hold.wait(10)
        server.sends(USAGE)(handler)

    server.received.clear()
    server.answer(held, server.sends(USAGE))
    backend.breaker._next_trial = 0.0
    threads = [threading.Thread(target=lambda: answered.append(ask(backend))) for _ in range(8)]
    for thread in threads:
        thread.start()
    waiting = backend.breaker._changed._waiters
    while len(waiting) < 7 or not server.received:
        threading.Event().wait(0.01)
    assert (len(server.received), answered) == (1, [])
    hold.set()
    for thread in threads:
        thread.join(10)
    assert len(answered) == 8


def test_attempts_without_a_response_count_one_by_one_and_no_more_are_made(server, backend_with, monkeypatch):
    """A starving backend: each attempt holds one of its threads."""
    monkeypatch.setattr(call, "_QUICK_SECONDS", 0.05)
    monkeypatch.setattr(call, "_TRIAL_SECONDS", 0.05)
    backend = backend_with(breaker_threshold=2, breaker_wait=0.0, retry_attempts=5)
    hold = threading.Event()
    server.answer(lambda handler: hold.wait(10) and None)
    fail(backend, BackendUnavailable)
    assert (len(server.received), backend.breaker.state) == (2, "open")
    hold.set()


def test_what_may_do_harm_is_no_trial(server, backend_with):
    """Before execute-file the health page is asked; it alone, while that is not answered."""
    backend = backend_with(breaker_threshold=1, breaker_wait=0.0, retry_attempts=0)
    server.answer(server.status(503))
    fail(backend)
    server.received.clear()
    backend.breaker._next_trial = 0.0
    with pytest.raises(BackendUnavailable):
        backend.files.execute(ORG, *FILE)
    assert [sent.path for sent in server.received] == ["/internal/v1/health/"]
    backend.breaker._next_trial = 0.0
    done = {"status": "success", "execution_id": ID, "result": 1}
    server.answer(server.sends({"status": "healthy"}), server.sends(done))
    assert backend.files.execute(ORG, *FILE) == 1
    assert backend.breaker.state == "closed"


def test_threads_do_not_wait_for_each_other(server, backend_with):
    """pybreaker would let one call in at a time; here both are with the server before either is answered."""
    backend, together = backend_with(), threading.Barrier(2, timeout=10)

    def both(handler):
        together.wait()
        server.sends(USAGE)(handler)

    server.answer(both)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(backend))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == [TokenUsage(), TokenUsage()]


def test_outcomes_are_counted(server, backend, metrics):
    server.answer(server.sends(USAGE), server.html(), server.status(404), server.status(400), server.cut())
    ask(backend)
    for _ in range(4):
        fail(backend)
    text = metrics.render().decode()
    for outcome in ("ok", "unexpected", "not_found", "refused", "unavailable"):
        assert f'unstract_worker_backend_calls_total{{operation="usage.tokens",outcome="{outcome}"}} 1.0' in text
    assert 'unstract_worker_backend_seconds_count{operation="usage.tokens"} 5.0' in text


def test_an_hour_of_one_file_says_nothing_about_the_backend(server, backend):
    server.answer(server.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "))
    for _ in range(3):
        with pytest.raises(BackendError):
            backend.files.execute(ORG, *FILE, timeout_seconds=0.1)
    assert backend.breaker.state == "closed"


def test_an_answer_that_is_not_read_is_an_answer(server, backend):
    server.answer(server.flood(megabytes=3))
    for _ in range(3):
        fail(backend, UnexpectedAnswer)
    assert backend.breaker.state == "closed"

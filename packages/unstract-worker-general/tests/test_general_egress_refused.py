"""Internal targets get no packet (W1): a socket listens on the refused address, and no connection ever comes."""

# ruff: noqa: S104 - no server listens on them

import select
import socket
import threading

import pytest

from unstract_worker_general.webhooks.addresses import LookupsBusy, NotResolved, system_addresses

LOOPBACK = "refused: the address is not public: loopback (127.0.0.0/8)"


class Ear:
    """A port on every address of this machine that is heard, and never answered."""

    def __init__(self):
        self.socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port = self.socket.getsockname()[1]

    def heard(self):
        return bool(select.select([self.socket], [], [], 0)[0])


@pytest.fixture
def ear():
    ear = Ear()
    yield ear
    ear.socket.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.255.0.1", "0.0.0.0", "localhost", "localhost.", "LOCALHOST", "[::1]", "[::]",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[fe80::1]",
        "127.1", "0x7f.1", "017700000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "127。0。0。1", "ⓛocalhost",
        "a@127.0.0.1", "example.test:80@127.0.0.1", "127.0.0.1\\@example.test", "127.0.0.1#@example.test", "%6cocalhost",
    ],
)  # fmt: skip
def test_w1_no_packet_is_sent_to_what_is_refused(rig, webhooks, ear, host):
    webhooks.allow(allowed_ports=(ear.port,))
    run = webhooks.send(f"http://{host}:{ear.port}/x", max_retries=0)
    assert webhooks.letter().reason.startswith("not delivered in 1 tries, last: refused: ")
    assert webhooks.final(run) == {"delivery": "dead", "attempts": 1}
    assert not ear.heard()


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["0.0.0.0"],
    ],
)
def test_w1_w2_one_bad_answer_refuses_all(webhooks, ear, addresses):
    webhooks.allow(allowed_ports=(ear.port,))
    webhooks.resolve(lambda host: addresses)
    webhooks.send(f"http://hooks.example.test:{ear.port}/")
    assert "refused: the address is not public: " in webhooks.letter().reason
    assert "WEBHOOK_ALLOWED_HOSTS and WEBHOOK_ALLOWED_NETWORKS can allow it" in webhooks.letter().reason
    assert not ear.heard()


def test_w1_the_ear_hears_what_is_allowed(webhooks, ear):
    webhooks.allow(allowed_networks=("127.0.0.0/8",))
    webhooks.send(f"http://127.0.0.1:{ear.port}/", timeout=0.3)
    assert ear.heard()
    assert "no response (the time for the whole call is over)" in webhooks.letter().reason


def test_w1_ports_of_other_services_are_refused(webhooks):
    asked = []
    webhooks.allow()
    webhooks.resolve(lambda host: asked.append(host) or ["8.8.8.8"])
    webhooks.send("http://hooks.example.test:6379/")
    assert webhooks.letter().reason.endswith("refused: port 6379 is not one of WEBHOOK_ALLOWED_PORTS")
    assert asked == ["hooks.example.test"]


@pytest.mark.parametrize(
    "allowed",
    [
        {"allowed_hosts": ("hooks.example.test",)},
        {"allowed_networks": ("127.0.0.0/8", "::1/128")},
    ],
)
def test_w1_a_host_or_a_network_can_be_allowed_on_any_port(webhooks, ear, allowed):
    webhooks.allow(**allowed)
    webhooks.resolve(lambda host: ["127.0.0.1", "::1"])
    webhooks.send(f"http://HOOKS.example.test:{ear.port}/", timeout=0.3)
    assert ear.heard()


def test_w1_an_allowed_host_allows_no_other(webhooks, ear):
    webhooks.allow(allowed_hosts=("example.test",))
    webhooks.resolve(lambda host: ["127.0.0.1"])
    webhooks.send(f"http://hooks.example.test:{ear.port}/")
    assert LOOPBACK in webhooks.letter().reason
    assert not ear.heard()


def test_an_address_that_is_refused_lasts_and_what_a_name_leads_to_is_tried_again(rig, webhooks):
    webhooks.allow()
    fixed = webhooks.send("http://127.0.0.1/", max_retries=4)
    assert webhooks.final(fixed) == {"delivery": "dead", "attempts": 1}
    webhooks.resolve(lambda host: ["127.0.0.1"])
    named = webhooks.send("http://hooks.example.test/", max_retries=4, retry_delay=60)
    assert webhooks.final(named) is None
    assert rig.meta(named)["attempts"] == "1"
    assert rig.meta(named)["last_error"].startswith(LOOPBACK)


def test_a_refusal_does_not_name_the_url(rig, webhooks, capfd):
    webhooks.allow()
    webhooks.resolve(lambda host: ["127.0.0.1"])
    for url in ("http://canary.example.test/canary?canary", "http://canary:canary@x/", "canary", "http://canary:x/"):
        webhooks.send(url)
    reported = str(rig.runtime.ledger.dead_letters.newest()) + "".join(capfd.readouterr())
    assert reported.count("refused: ") >= 4
    assert "canary" not in reported


# --- looking up


def test_a_name_without_an_address(webhooks):
    webhooks.allow()
    webhooks.send("http://nothing.invalid/")
    assert webhooks.letter().reason.endswith("no connection (the host name cannot be resolved)")


@pytest.mark.parametrize(
    ("answer", "reason"), [([], "the host name has no address"), (["no address"], "the host name cannot be resolved")]
)
def test_an_answer_that_is_none(webhooks, answer, reason):
    webhooks.resolve(lambda host: answer)
    webhooks.send("http://hooks.example.test/")
    assert webhooks.letter().reason.endswith(f"no connection ({reason})")


def test_the_systems_resolver_tells_every_address():
    assert "127.0.0.1" in system_addresses("localhost")


def test_w2_look_ups_left_behind_are_bounded_and_cost_no_try(rig, webhooks):
    answered = threading.Event()
    asked = []

    def slow(host):
        asked.append(host)
        answered.wait(30)
        return ["127.0.0.1"]

    webhooks.allow()
    webhooks.resolve(slow, most=2)
    lookups = webhooks.client.lookups
    try:
        for host in ("a.test", "b.test", "a.test"):
            with pytest.raises(NotResolved, match="not resolved in time"):
                lookups.addresses(host, seconds=0)
        with pytest.raises(LookupsBusy):
            lookups.addresses("c.test", seconds=0)
        run = webhooks.send("http://c.test/")
        meta = rig.meta(run)
        assert (meta["attempts"], meta["last_error"]) == ("0", "too many host names are being resolved")
        assert webhooks.count("waiting") == 1
    finally:
        answered.set()
    assert sorted(asked) == ["a.test", "b.test"]
    assert [str(each) for each in lookups.addresses("a.test", seconds=30)] == ["127.0.0.1"]

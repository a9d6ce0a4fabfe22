"""Reading a webhook's URL: what two readers could take differently is refused, by a rule that does not quote it."""

# ruff: noqa: RUF001 - digits that only look like digits are the point

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstract_worker_core.backend.http import make_request
from unstract_worker_general.webhooks.addresses import AddressRefused, read_target

ODD = "the URL's host is an odd spelling of an IPv4 address"
SHAPE = "the URL is not an absolute http or https URL"
PARTS = "the URL's host or port is malformed"
NAME = "the URL's host is not a host name"
UNSEEN = "the URL contains a space or an invisible character"


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://127.1/", ODD),
        ("http://0x7f.1/", ODD),
        ("http://0X7F.0x0.0x0.0x1/", ODD),
        ("http://0x7f000001/", ODD),
        ("http://017700000001/", ODD),
        ("http://0177.0.0.1/", ODD),
        ("http://2130706433/", ODD),
        ("http://127.0.0.01/", ODD),
        ("http://127.0.0.256/", ODD),
        ("http://127.0.0.1.1/", ODD),
        ("http://example.123/", ODD),
        ("http://127。0。0。1/", ODD),
        ("http://127.0.0.1./", "the URL's host name ends with a dot"),
        ("http://localhost./", "the URL's host name ends with a dot"),
        ("http://localhost。/", "the URL's host name ends with a dot"),
        ("http://１２７.０.０.１/", "the URL's host is not a valid international name"),
        ("http://①②⑦.0.0.1/", "the URL's host is not a valid international name"),
        ("http://ⓛocalhost/", "the URL's host is not a valid international name"),
        ("http://example.test@127.0.0.1/", "the URL has a user or a password; use a header"),
        ("http://user:secret@example.test/", "the URL has a user or a password; use a header"),
        ("http://@example.test/", "the URL has a user or a password; use a header"),
        ("http://example.test#@127.0.0.1/", "the URL has a fragment"),
        ("http://example.test/x#", "the URL has a fragment"),
        ("http://example.test\\@127.0.0.1/", "the URL contains a backslash"),
        ("http:\\\\127.0.0.1/", "the URL contains a backslash"),
        ("http://example.test/a\\b", "the URL contains a backslash"),
        ("http://exa\tmple.test/", UNSEEN),
        ("http://example.test/\n", UNSEEN),
        (" http://example.test/", UNSEEN),
        ("http://example.test/a b", UNSEEN),
        ("http://exam\u00adple.test/", UNSEEN),
        ("http://exam\u200bple.test/", UNSEEN),
        ("http://example.test/\x00", UNSEEN),
        ("http://example.test/\ud800", UNSEEN),
        ("ftp://example.test/", SHAPE),
        ("file:///etc/passwd", SHAPE),
        ("gopher://127.0.0.1:6379/_x", SHAPE),
        ("http:/127.0.0.1/", SHAPE),
        ("http:127.0.0.1", SHAPE),
        ("//127.0.0.1/", SHAPE),
        ("127.0.0.1/x", SHAPE),
        ("not-a-url", SHAPE),
        ("", SHAPE),
        ("http://example.test:0/", PARTS),
        ("http://example.test:65536/", PARTS),
        ("http://example.test:/", PARTS),
        ("http://example.test:80:80/", PARTS),
        ("http://example.test:８０/", PARTS),
        ("http://example.test:+80/", PARTS),
        ("http://::1/", PARTS),
        ("http://[::1/", PARTS),
        ("http://[::1]x/", PARTS),
        ("http://[]/", "the URL's IPv6 address is malformed"),
        ("http://[127.0.0.1]/", "the URL's IPv6 address is malformed"),
        ("http://[fe80::1%25eth0]/", "the URL's IPv6 address names a zone"),
        ("http://[fe80::1%eth0]/", "the URL's IPv6 address names a zone"),
        ("http:///x", NAME),
        ("http://?x", NAME),
        ("http://%31%32%37.0.0.%31/", NAME),
        ("http://a..b/", NAME),
        ("http://-a.test/", NAME),
        ("http://a;b.test/", NAME),
        (f"http://{'a' * 64}.test/", NAME),
        (f"http://{'a.' * 126}test/", NAME),
    ],
)
def test_w1_urls_that_are_refused(url, rule):
    with pytest.raises(AddressRefused) as refusal:
        read_target(url)
    assert str(refusal.value) == f"refused: {rule}"
    assert refusal.value.permanent


@pytest.mark.parametrize(
    ("url", "host", "port", "again"),
    [
        ("HTTPS://Hooks.Example.Test", "hooks.example.test", 443, "https://hooks.example.test/"),
        ("http://example.test:80/a?b=c", "example.test", 80, "http://example.test/a?b=c"),
        ("http://example.test:8080?x", "example.test", 8080, "http://example.test:8080/?x"),
        ("https://example.test/a@b:c/%2e%2e?u=http://x", "example.test", 443, None),
        ("https://example.test/päth", "example.test", 443, None),
        ("https://Bücher.example/", "xn--bcher-kva.example", 443, "https://xn--bcher-kva.example/"),
        ("https://straße.example/", "xn--strae-oqa.example", 443, "https://xn--strae-oqa.example/"),
        ("http://my_host/", "my_host", 80, None),
        ("http://8.8.8.8:8443/x", "8.8.8.8", 8443, None),
        ("http://[2606:4700:0::1]:8443/x", "2606:4700::1", 8443, "http://[2606:4700::1]:8443/x"),
    ],
)
def test_urls_that_are_read(url, host, port, again):
    target = read_target(url)
    assert (target.host, target.port, target.url) == (host, port, again or url)


HOSTILE = st.text(st.sampled_from("http://@:[]#?\\%.0x127alocst１。é-_&;"), max_size=24)


@given(rest=HOSTILE)
def test_w1_the_client_sees_the_host_that_was_checked(rest):
    try:
        target = read_target(f"http://{rest}")
    except AddressRefused:
        return
    sent = make_request("POST", target.url, {}).url
    assert (sent.raw_host.decode(), sent.port or 80, sent.scheme) == (target.host, target.port, "http")
    assert b"#" not in sent.raw_path
    assert urlsplit(target.url).username is None


def test_a_target_does_not_show_its_path():
    assert "token" not in repr(read_target("https://example.test/services/token?token=token"))

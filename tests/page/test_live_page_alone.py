"""What the script of the page does by itself: it finds a lost server again, and swaps no more than what changed."""

import contextlib

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from unstract_devstack.backend.database import Database
from unstract_devstack.page import Sources, running_page
from unstract_devstack.page.backend_rows import BackendRows
from unstract_devstack.page.ledger_keys import LedgerKeys
from unstract_devstack.page.server import Bounds
from unstract_devstack.page.sources import WorkerLine
from unstract_devstack.ports import free_port

pytestmark = pytest.mark.timeout(300)

PATIENCE = 60


@pytest.fixture
def sources(tmp_path):
    database = Database(tmp_path / "backend.sqlite3")
    with contextlib.closing(database):
        # No Redis either: the page says so and lives.
        ledger = LedgerKeys.connect(f"redis://127.0.0.1:{free_port()}/0")
        names: list[str] = []
        yield (
            Sources(
                BackendRows(database.path),
                ledger,
                workers=lambda: [WorkerLine(name, True, "http://127.0.0.1:1/") for name in names],
            ),
            names,
        )


def until_it_says(browser, selector, reported):
    condition = f"{selector} says {reported}"
    WebDriverWait(browser, PATIENCE).until(
        lambda _: reported in browser.find_element(By.CSS_SELECTOR, selector).text, condition
    )


@pytest.mark.parametrize("places", [0, 4], ids=["all places taken", "a place is free"])
def test_a_page_comes_back_to_a_server_that_was_away(browser, sources, places):
    read, names = sources
    port = free_port()
    with running_page(read, port=port, bounds=Bounds(watchers=places)) as page:
        browser.get(page.url)
        browser.execute_script("window.mark = 'same document'")
        until_it_says(browser, "#live-state", "live" if places else "reconnecting")
    until_it_says(browser, "#live-state", "reconnecting")
    names.append("started-meanwhile")
    with running_page(read, port=port):
        until_it_says(browser, "#live-state", "live")
        until_it_says(browser, "#workers", "started-meanwhile")
        assert browser.execute_script("return window.mark") == "same document"


def test_a_hidden_page_does_not_watch(browser, sources):
    read, _ = sources
    with running_page(read) as page:
        browser.get(page.url)
        until_it_says(browser, "#live-state", "live")
        assert page.watchers == 1
        browser.switch_to.new_window("tab")
        browser.get("about:blank")
        WebDriverWait(browser, PATIENCE).until(lambda _: page.watchers == 0, "the stream is left")
        browser.close()
        browser.switch_to.window(browser.window_handles[0])
        WebDriverWait(browser, PATIENCE).until(lambda _: page.watchers == 1, "the stream is opened again")


def test_what_stays_keeps_the_focus_while_rows_come_and_go(browser, sources):
    read, names = sources
    names[:] = ["first", "kept", "last"]
    with running_page(read) as page:
        browser.get(page.url)
        until_it_says(browser, "#live-state", "live")
        browser.execute_script("document.querySelector('#w-kept a').focus()")
        shown = (
            "return [...document.querySelectorAll('#workers tbody tr')].map(row => row.querySelector('th').innerText)"
        )
        for now in (
            ["new", "first", "kept", "last"],
            ["kept", "newer"],
            ["a", "b", "kept"],
            ["kept"],
            ["z", "kept", "a"],
        ):
            names[:] = now
            WebDriverWait(browser, PATIENCE).until(lambda _, now=now: browser.execute_script(shown) == now, f"{now}")
            assert browser.execute_script("return document.activeElement.innerText") == "kept"
        names[:] = ["a", "z"]
        WebDriverWait(browser, PATIENCE).until(lambda _: browser.execute_script(shown) == ["a", "z"])

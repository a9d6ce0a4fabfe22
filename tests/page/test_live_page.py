"""The first ten minutes with `hatch run up`: a button is pressed, and what happens is seen as it happens."""

import os
from pathlib import Path

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from unstract_devstack.http_calls import call_json
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Platform

pytestmark = pytest.mark.timeout(400)

PATIENCE = 90
HOSTILE = "<img src=x onerror=document.title='taken'><script>document.title='taken'<b onclick=x>&amp;.txt"


def find(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def texts(browser, selector):
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def until(browser, condition, reported):
    return WebDriverWait(
        browser, PATIENCE, poll_frequency=0.1, ignored_exceptions=[StaleElementReferenceException]
    ).until(lambda _: condition(), reported)


def mark(browser):
    """Leaves a mark in the document that a reload would take away."""
    browser.execute_script("window.mark = 'same document'")


def marked(browser):
    return browser.execute_script("return window.mark") == "same document"


def row_status(browser, execution_id):
    """What the row says now; the stream may be swapping it at this very moment, so one script reads it."""
    script = "return document.querySelector(arguments[0])?.textContent ?? ''"
    return browser.execute_script(script, f"[id='e-{execution_id}'] .status")


def picture(browser, name, height, width=1200):
    """A screenshot in the folder that PAGE_SCREENSHOTS names, if it names one."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    folder = os.environ.get("PAGE_SCREENSHOTS")
    shot = browser.get_screenshot_as_png()
    assert shot.startswith(b"\x89PNG")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(shot)


def no_complaints(browser):
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(
    ("kind", "total", "failed", "file"), [("api", 13, 3, "invoice-lumen.pdf"), ("etl", 8, 1, "receipt-cafe.pdf")]
)
def test_a_button_starts_an_execution_that_is_seen_to_complete(up, browser, kind, total, failed, file):
    browser.get(up.url)
    until(browser, lambda: find(browser, "#live-state").text == "live", "the stream opens")
    find(browser, f"form[action='/start/{kind}'] button").click()
    until(browser, lambda: "#e-" in browser.current_url, "the button leads to the new execution")
    execution_id = browser.current_url.split("#e-")[1]
    mark(browser)
    until(browser, lambda: row_status(browser, execution_id) == "COMPLETED", "the row becomes COMPLETED")
    until(
        browser, lambda: f"{total}/{total}" in find(browser, f"[id='e-{execution_id}']").text, "all files are counted"
    )
    until(browser, lambda: any(execution_id in (link or "") for link in webhooks(browser)), "the webhook arrives")
    assert marked(browser)
    picture(browser, f"list-{kind}", 660)
    find(browser, f"[id='e-{execution_id}'] a").click()
    until(
        browser, lambda: any("webhook" in text for text in texts(browser, "#events li")), "events tell of the webhook"
    )
    assert texts(browser, "#execution h1 .status") == ["COMPLETED"]
    statuses = texts(browser, "#files .status")
    assert statuses.count("ERROR") == failed
    assert any(file in name for name in texts(browser, "#files th.name"))
    assert texts(browser, "#run .status") == ["DONE"]
    events = "\n".join(texts(browser, "#events li"))
    assert "worker Execution is being started." in events.replace("\n", " ")
    picture(browser, f"execution-{kind}", 1400)
    picture(browser, f"phone-{kind}", 1400, width=390)
    no_complaints(browser)


def webhooks(browser):
    script = "return [...document.querySelectorAll('#webhooks a')].map(a => a.href)"
    return browser.execute_script(script)


def test_a_hostile_file_name_is_only_text_and_live_changes_leave_the_focus(up, browser, tmp_path):
    browser.get(up.url)
    mark(browser)
    until(browser, lambda: find(browser, "#live-state").text == "live", "the stream opens")
    button = find(browser, "form[action='/start/etl'] button")
    browser.execute_script("arguments[0].focus()", button)
    document = tmp_path / "plain.txt"
    document.write_text("Invoice No: <img/src=x/onerror=document.title='taken'>\nTotal due: 1.00\n")
    platform = Platform(up.environment["INTERNAL_API_BASE_URL"].removesuffix("/internal"), "", "org_dev")
    uploads = [Upload(document, HOSTILE, document.stat().st_size)]
    execution_id = platform.send_files("documents", uploads, use_file_history=False)
    until(browser, lambda: row_status(browser, execution_id) == "COMPLETED", "a row appears and becomes COMPLETED")
    assert browser.switch_to.active_element == button
    assert marked(browser)
    find(browser, f"[id='e-{execution_id}'] a").send_keys(Keys.ENTER)
    until(browser, lambda: texts(browser, "#files .status") == ["COMPLETED"], "its page shows the file")
    mark(browser)
    details = find(browser, "#effects summary")
    details.send_keys(Keys.ENTER)
    until(browser, lambda: any("webhook" in text for text in texts(browser, "#events li")), "the webhook arrives")
    assert find(browser, "#effects").get_attribute("open") is not None
    (name,) = texts(browser, "#files th.name")
    assert name == HOSTILE
    assert "<img/src=x/onerror" in find(browser, "#files .outcome").text
    assert (
        browser.execute_script("return document.querySelectorAll('main script, main img, main b[onclick]').length") == 0
    )
    assert browser.title != "taken"
    assert marked(browser)
    no_complaints(browser)


DROP = """
const files = new DataTransfer();
for (const [name, text] of arguments[0]) files.items.add(new File([text], name, {type: "text/plain"}));
for (const kind of ["dragover", "drop"]) {
  document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: files, bubbles: true, cancelable: true}));
}
"""


def started(browser, reported):
    """The id of the execution that the list leads to, once it does."""
    until(browser, lambda: "#e-" in browser.current_url, reported)
    return browser.current_url.split("#e-")[1]


def drop(browser, *files):
    browser.get(f"{browser.current_url.split('#')[0]}")
    browser.execute_script(DROP, [list(file) for file in files])
    return started(browser, "the drop leads to the new execution")


def test_files_that_are_dropped_are_uploaded_shown_by_name_and_sent_again(up, browser):
    browser.get(up.url)
    first = drop(browser, ("dropped one.txt", "Invoice No: DROP-1\nTotal due: 1.00"), ("two.txt", "Total due: 2.00"))
    until(browser, lambda: row_status(browser, first) == "COMPLETED", "the row becomes COMPLETED")
    row = find(browser, f"[id='e-{first}'] th")
    assert "dropped one.txt and 1 more" in row.text
    assert "documents" in row.text
    row.find_element(By.CSS_SELECTOR, "a").click()
    until(browser, lambda: texts(browser, "#files .status") == ["COMPLETED"] * 2, "its page shows both files")
    find(browser, "#files a.json").click()
    assert "DROP-1" in find(browser, "#result pre").text
    assert find(browser, "#result a[download]").get_attribute("href").endswith("/result.json")
    picture(browser, "result", 800)
    find(browser, "#result .back a").click()
    find(browser, f"form[action='/executions/{first}/retry'] button").click()
    again = started(browser, "the retry leads to the new execution")
    assert again != first
    until(browser, lambda: row_status(browser, again) == "COMPLETED", "the retry becomes COMPLETED")
    no_complaints(browser)


def test_a_search_finds_a_file_and_stays_live(up, browser):
    browser.get(up.url)
    found = drop(browser, ("needle.txt", "Total due: 3.00"))
    until(browser, lambda: row_status(browser, found) == "COMPLETED", "the row becomes COMPLETED")
    drop(browser, ("hay.txt", "Total due: 4.00"))
    field = find(browser, "#search input")
    field.send_keys("needle", Keys.ENTER)
    until(browser, lambda: "q=needle" in browser.current_url, "the search is in the address")
    assert [row.get_attribute("id") for row in browser.find_elements(By.CSS_SELECTOR, "#executions tbody tr")] == [
        f"e-{found}"
    ]
    assert find(browser, "#search input").get_attribute("value") == "needle"
    until(browser, lambda: find(browser, "#live-state").text == "live", "the stream of what is found opens")
    picture(browser, "search", 660)
    no_complaints(browser)


def test_an_execution_is_aborted(up, browser):
    key = up.environment["INTERNAL_SERVICE_API_KEY"]
    dev = f"{up.environment['INTERNAL_API_BASE_URL'].removesuffix('/internal')}/dev"
    fault = {"kind": "delay", "path": "execute-file", "delay": 15, "count": 1}
    call_json("POST", f"{dev}/faults", payload=fault, key=key)
    browser.get(up.url)
    execution_id = drop(browser, ("slow.txt", "Total due: 5.00"))
    until(browser, lambda: row_status(browser, execution_id) == "EXECUTING", "the row becomes EXECUTING")
    find(browser, f"[id='e-{execution_id}'] a").click()
    find(browser, f"form[action='/executions/{execution_id}/abort'] button").click()
    until(browser, lambda: texts(browser, "#execution h1 .status") == ["STOPPED"], "it becomes STOPPED")
    assert browser.current_url.endswith(f"/executions/{execution_id}")
    assert find(browser, ".actions button").text == "Retry"
    no_complaints(browser)


def test_the_page_is_whole_without_scripts(up, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(up.url)
    find(browser, "form[action='/start/api'] button").click()
    until(browser, lambda: "#e-" in browser.current_url, "the button works")
    execution_id = browser.current_url.split("#e-")[1]

    def completed() -> bool:
        browser.refresh()
        return texts(browser, f"[id='e-{execution_id}'] .status") == ["COMPLETED"]

    until(browser, completed, "a reload shows it COMPLETED")
    assert find(browser, "noscript a").text == "Reload for news"
    assert not find(browser, "#live-state").is_displayed()

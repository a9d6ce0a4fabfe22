"""`hatch run up` with its workers, and a Chromium that looks at its live page."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

APT = "apt-get install --no-install-recommends chromium chromium-driver"
# Hosted runners have Chrome and its driver instead.
BROWSERS = ("chromium", "google-chrome")
# Without these Chromium asks for news of its own over the network; as root it has no sandbox.
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,800",
)


@frozen
class Up:
    """A stack that is up: where its page is, and the lines that a person would read."""

    url: str
    addresses: dict[str, str]
    environment: dict[str, str]


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The stack with all four workers, as the command starts it."""
    folder = tmp_path_factory.mktemp("up")
    command = [sys.executable, "-m", "unstract_devstack.up", "--json", "--data", str(folder)]
    with (folder / "up.log").open("w") as log:
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True)
    try:
        line = process.stdout.readline()
        assert line, (folder / "up.log").read_text()
        said = json.loads(line)
        yield Up(said["addresses"]["live page"], said["addresses"], said["environment"])
    finally:
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """Chromium without a screen; its console is read by `get_log("browser")`."""
    found, driver = next(filter(None, map(shutil.which, BROWSERS)), None), shutil.which("chromedriver")
    if found is None or driver is None:
        pytest.fail(f"no Chromium to look with: {APT}", pytrace=False)
    options = webdriver.ChromeOptions()
    options.binary_location = found
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *(["--no-sandbox"] if os.geteuid() == 0 else [])):
        options.add_argument(flag)
    chromium = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield chromium
    finally:
        chromium.quit()

"""Every `deploy.sh` of the documents does something, on a machine whose docker only records."""

import re
import shlex

import pytest
from packaging.specifiers import SpecifierSet
from unstract_images.workers import DOCKER, ROOT

DOCUMENTS = ("README.md", "MOVING.md", "TROUBLESHOOTING.md", "UPGRADING.md")
COMMAND = re.compile(r"docker/deploy\.sh ([^`#\n]+)")


def text_of(name: str) -> str:
    return (DOCKER / name).read_text(encoding="utf-8")


def commands() -> list[str]:
    return list(dict.fromkeys(found.strip() for name in DOCUMENTS for found in COMMAND.findall(text_of(name))))


@pytest.mark.parametrize("command", commands())
def test_a_deployment_of_the_documents_works(machine, command):
    words = shlex.split(command)
    assert words[:2] == ["--environment", "production"]
    if words[3] in ("rollback", "restart", "scale", "status", "stop"):
        machine.deploy("--action", "deploy")
        machine.pin(CALLBACK_IMAGE="unstract-worker-callback:9.9.9")
        machine.deploy("--action", "deploy", "--workers", "callback")
    done = machine.deploy(*words[2:])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_variables_of_a_stage_of_moving_are_taken(machine):
    block = re.search(r"```console\n(CALLBACK_IMAGE=.*?)```", text_of("MOVING.md"), re.DOTALL)[1]
    variables = dict(line.split("=", 1) for line in block.splitlines())
    password = machine.folder / "backend_db_password"
    password.write_text("canary-secret")
    password.chmod(0o444)
    machine.pin(**{**variables, "BACKEND_DB_PASSWORD_SECRET": str(password)})
    done = machine.deploy("--action", "deploy", "--workers", "callback")
    assert done.returncode == 0, done.stderr
    assert machine.running()["callback"] == [variables["CALLBACK_IMAGE"]]


@pytest.mark.parametrize(
    ("pin", "taken", "left"),
    [
        ("==1.4", ("1.4", "1.4.0"), ("1.4.1", "1.5")),
        ("==1.4.*", ("1.4", "1.4.7"), ("1.5", "1.3.9")),
        ("~=1.4", ("1.4", "1.4.1", "1.17"), ("1.3.9", "2.0")),
        ("~=1.4.2", ("1.4.2", "1.4.9"), ("1.4.1", "1.5")),
    ],
)
def test_pins_mean_what_upgrading_says(pin, taken, left):
    assert f"`unstract-worker-callback{pin}`" in text_of("UPGRADING.md")
    assert [version for version in (*taken, *left) if version in SpecifierSet(pin)] == list(taken)


def test_the_compatibility_table_is_that_of_the_release_index():
    """Each release's range of core, by the index, is in the row of its minor version."""
    index = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    table = text_of("UPGRADING.md")
    for package, version, needs in re.findall(
        r"\| unstract-worker-([a-z-]+) \| ([\d.]+) \| \w+ \| (>=[^ |]+) \|", index
    ):
        major, minor, _ = version.split(".")
        if major == "0":
            assert re.search(rf"^\| 0\.{minor}\b[^|]*\| `{re.escape(needs)}` \|", table, re.MULTILINE), (
                package,
                version,
            )
        else:
            assert re.fullmatch(rf">={major}\.\d+(\.\d+)?,<{int(major) + 1}", needs)

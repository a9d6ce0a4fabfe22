"""What the documents name is there: commands of hatch, links, files, and the functions of ARCHITECTURE.md."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENDINGS = ("json", "jsonl", "lua", "md", "py", "toml", "yml")  # else what follows the dot is a function's name
LISTED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
DOCUMENTS = [
    name
    for name in LISTED.split()
    if not name.endswith("CHANGELOG.md") and not {"changes", "samples"} & {*Path(name).parts}
]
# Commands that CI does not run by their own name, and the tests that run them.
TESTED = {
    "api-deployment:dev": "tests/devstack/tests/dev",
    "callback:dev": "tests/devstack/tests/dev",
    "file-processing:dev": "tests/devstack/tests/dev",
    "general:dev": "tests/devstack/tests/dev",
    "faults:report": "tests/faults/test_faults_parts.py",
    "images:build": "tests/deploy/live",
    "images:lock": "tests/images/test_images_locks.py",
    "images:secrets": "tests/images/test_images_inside.py",
    "lint:fix": "",  # `lint:all` finds what it repairs
    "lint:shape": "tests/workspace/test_workspace_shape.py",
    "messages": "tests/contract/test_contract_messages.py",
    "up": "tests/devstack/tests/tools",
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def scripts() -> set[str]:
    environments = tomllib.loads(text_of("pyproject.toml"))["tool"]["hatch"]["envs"]
    return {
        script if environment == "default" else f"{environment}:{script}"
        for environment, options in environments.items()
        for script in options.get("scripts", {})
    }


def named_scripts(text: str) -> set[str]:
    return set(re.findall(r"hatch run ([a-z][a-z:-]*)", text)) - {"python"}


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_of_hatch_exists(name):
    assert named_scripts(text_of(name)) - scripts() == set()


def test_every_command_of_hatch_is_run_by_ci_or_by_a_test():
    ci = [ROOT / ".ci" / "run", *(ROOT / ".github").glob("**/*.yml")]
    lines = "\n".join(path.read_text(encoding="utf-8") for path in ci)
    run = named_scripts(lines) | set(re.findall(r"command: ([a-z:-]+)", lines))
    named = {script for name in DOCUMENTS for script in named_scripts(text_of(name))}
    assert named - run - TESTED.keys() == set()
    assert [place for place in TESTED.values() if not (ROOT / place).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(name)):
        place, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (ROOT / name).parent / place if place else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target / "README.md" if target.is_dir() else target), link


def test_the_functions_that_architecture_names_exist():
    text = text_of("packages/unstract-worker-core/ARCHITECTURE.md")
    found = [each for each in re.findall(r"`((?:\w+/)*\w+)\.(\w+)`", text) if each[1] not in ENDINGS]
    assert found
    for module, name in found:
        files = list(ROOT.glob(f"packages/*/src/unstract_worker_*/{module}.py"))
        assert files, module
        trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
        assert name in {getattr(node, "name", "") for tree in trees for node in ast.walk(tree)}, f"{module}.{name}"

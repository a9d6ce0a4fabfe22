"""S8, B12: what the code may not do is not there, by lint and by looking; what it is made of is pinned."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))
MODULES = frozenset({"pickle", "cPickle", "dill", "marshal", "shelve", "yaml", "msgpack", "telnetlib", "ftplib"})
CALLS = frozenset({"eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"})
WORDS = {"shell": True, "verify": False, "check_hostname": False, "trust_env": True, "follow_redirects": True}
ATTRIBUTES = frozenset({"CERT_NONE", "CERT_OPTIONAL", "_create_unverified_context"})
# Rules of ruff's S (bandit) group that are off for the packages, everywhere or in a file, with the reason.
ALLOWED_OFF = {"S311": "jitter is not cryptography"}
ALLOWED_IN = {
    ("sections.py", "S104"): "probes come from outside the container; WORKER_HEALTH_HOST narrows it",
    ("scaling.py", "S105"): "the name of a Kubernetes secret, not its content",
}


def dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def offences(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            found += [dotted(node.func)] if dotted(node.func) in CALLS else []
            found += [f"{word.arg}={word.value.value}" for word in node.keywords if forbidden(word)]
        elif isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            found.append(node.attr)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [dotted(target).split(".")[-1] for target in node.targets]
            found += [name for name in names if name in WORDS and node.value.value is WORDS[name]]
    return found


def forbidden(word: ast.keyword) -> bool:
    return isinstance(word.value, ast.Constant) and word.arg in WORDS and word.value.value is WORDS[word.arg]


def test_s8_the_packages_unpickle_nothing_start_no_shell_and_evaluate_nothing():
    assert len(SOURCES) > 100
    found = {str(path.relative_to(ROOT)): offences(ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from yaml import load", "run('x', shell=True)", "Client(verify=False)", "x = ssl.CERT_NONE",
     "context.check_hostname = False", "os.system('x')", "eval('1')"],
)  # fmt: skip
def test_s8_the_look_at_the_code_sees_what_it_looks_for(code):
    assert offences(ast.parse(code))


def test_b12_no_path_turns_verification_off():
    """Neither the client of the internal API nor the webhooks' can be switched to not verify: no code, no variable."""
    page = (ROOT / "packages/unstract-worker-core/ENVIRONMENT.md").read_text(encoding="utf-8")
    switches = re.findall(
        r"`((?:INTERNAL_API|WEBHOOK|WORKER_WEBHOOK)_[A-Z_]*(?:VERIFY|INSECURE|SSL|CERT_REQS)[A-Z_]*)`", page
    )
    assert "INTERNAL_API_CA_FILE" in page
    assert switches == []


def test_s8_the_security_rules_of_the_linter_are_on_for_the_packages():
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    selected, off = lint["select"], {rule for rule in lint["ignore"] if re.fullmatch(r"S\d*", rule)}
    assert "ALL" in selected or "S" in selected
    assert off <= ALLOWED_OFF.keys()
    for pattern in lint["per-file-ignores"]:
        assert not any(path.match(pattern) for path in SOURCES), f"{pattern} reaches the packages' sources"
    silenced = [
        (path.name, rule)
        for path in SOURCES
        for rule in re.findall(r"noqa:[^#]*\b(S\d{3})\b", path.read_text(encoding="utf-8"))
    ]
    assert set(silenced) <= ALLOWED_IN.keys()


def test_the_linter_finds_nothing():
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not in this environment: `hatch run lint:style` runs the same rules")
    rules = ("--select", "S,BLE,PGH", "--ignore", ",".join(ALLOWED_OFF))
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", *rules, *map(str, ROOT.glob("packages/*/src"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def required(project: Path) -> set[str]:
    found = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = [line for lines in found.get("optional-dependencies", {}).values() for line in lines]
    return {re.split(r"[\s\[<>=!~;]", line)[0].lower().replace("_", "-") for line in (*found["dependencies"], *extras)}


def pinned() -> dict[str, str]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return {
        name.lower(): version
        for name, version in re.findall(r"^([A-Za-z0-9_.\-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE)
    }


def test_s8_everything_that_the_packages_need_is_pinned():
    wanted = set.union(*(required(path) for path in ROOT.glob("packages/*/pyproject.toml")))
    others = {name for name in wanted if not name.startswith("unstract-worker-")}
    assert len(others) > 5
    assert others - pinned().keys() == set()


def test_known_vulnerabilities():
    if importlib.util.find_spec("pip_audit") is None:
        pytest.skip("not run here: `hatch run workflows:audit` asks the database of vulnerabilities, over the network")
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    done = subprocess.run(
        [*command, "-r", str(ROOT / "constraints.txt")], capture_output=True, text=True, check=False, timeout=100
    )
    if "Connection" in done.stderr or "resolve" in done.stderr:
        pytest.skip("not run: the database of vulnerabilities cannot be reached")
    assert done.returncode == 0, done.stdout

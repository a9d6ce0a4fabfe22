"""What workers of different releases tell each other changes by addition only, inside a major version."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "messages"
sys.path.insert(0, str(FOLDER))

from message_contract.commands import NAMES, committed, compared, current  # noqa: E402
from message_contract.reading import reading_faults  # noqa: E402
from message_contract.specimens import specimens_of  # noqa: E402

CORE = ["unstract-worker-core"]


@pytest.fixture
def before():
    return committed()


@pytest.fixture
def after():
    return committed()


def test_nothing_that_is_written_down_was_removed_or_retyped(before):
    assert list(compared(before, current())) == []


def test_the_models_are_written_down_as_they_are(before):
    assert current() == before, "hatch run messages write, and commit what it writes"


def test_schemas_are_json_schema_and_hold_their_own_specimens(before):
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    schemas = {name: schema for name, schema in before.items() if name != NAMES}
    registry = Registry().with_resources(
        (f"{name}.json", Resource.from_contents(each)) for name, each in schemas.items()
    )
    for name, schema in schemas.items():
        Draft202012Validator.check_schema(schema)
        for specimen in specimens_of(name, schemas):
            Draft202012Validator(schema, registry=registry).validate(specimen)


def retype(schema):
    schema["properties"]["size"] = {"type": "string", "default": ""}


def retype_inside(schema):
    schema["properties"]["copies"]["items"] = {"type": "integer"}


def default(schema):
    schema["properties"]["size"]["default"] = -1


def remove(schema):
    del schema["properties"]["path"]
    schema["required"].remove("path")


def rename(schema):
    schema["properties"]["place"] = schema["properties"].pop("path")
    schema["required"] = ["place" if each == "path" else each for each in schema["required"]]


def optional(schema):
    schema["properties"]["path"]["default"] = ""
    schema["required"].remove("path")


def required(schema):
    del schema["properties"]["hash"]["default"]
    schema["required"].append("hash")


def demand(schema):
    schema["properties"]["place"] = {"type": "string"}
    schema["required"].append("place")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (retype, "file_item.size: retyped from {'type': 'integer'} to {'type': 'string'}"),
        (retype_inside, "file_item.copies: retyped"),
        (default, "file_item.size: another default, -1 and no longer 0"),
        (remove, "file_item.path: removed"),
        (rename, "file_item.path: removed"),
        (optional, "file_item.path: left out by one version"),
        (required, "file_item.hash: left out by one version"),
        (demand, "file_item.place: new and without a default"),
    ],
)
def test_a_change_that_another_version_cannot_read_is_refused_with_the_field(before, after, change, named):
    change(after["file_item"])
    assert any(reported.startswith(named) for reported in compared(before, after)), list(compared(before, after))


def test_words_of_an_enumeration_neither_come_nor_go(before, after):
    after["file_outcome"]["properties"]["kind"]["enum"].append("POSTPONED")
    assert "file_outcome.kind: retyped" in next(compared(before, after))
    assert "file_outcome.kind: retyped" in next(compared(after, before))


def test_a_field_with_a_default_may_come(before, after):
    after["file_item"]["properties"]["place"] = {"type": "string", "default": ""}
    assert list(compared(before, after)) == []


def test_shared_names_may_come_and_not_go(before, after):
    fields = after[NAMES]["ledger fields of a run"]
    after[NAMES]["ledger fields of a run"] = ["colour", *(each for each in fields if each != "epoch")]
    after[NAMES]["doorbells"] = [each.replace("uw_files", "uw_documents") for each in after[NAMES]["doorbells"]]
    assert list(compared(before, after)) == [
        "ledger fields of a run: epoch is gone, older workers expect it",
        "doorbells: unstract_worker.process_batch on uw_files is gone, older workers expect it",
    ]


def test_a_new_major_version_may_do_what_it_wants(before, after):
    remove(after["file_item"])
    after["file_item"]["x-major"] += 1
    assert list(compared(before, after)) == []


def test_what_a_newer_version_adds_is_passed_over_and_what_it_changes_is_named():
    schemas = copy.deepcopy(committed())
    schemas["file_item"]["properties"]["place"] = {"type": "string", "default": ""}
    schemas["run_context"]["properties"]["total_files"] = {"type": "string", "default": ""}
    schemas["file_outcome"]["properties"]["duration"] = schemas["file_outcome"]["properties"].pop("seconds")
    examples = {name: specimens_of(name, schemas) for name in ("file_item", "run_context", "file_outcome", "batch")}
    assert set(reading_faults(examples, CORE, newer=True)) == {
        "batch: BatchMessage.context.total_files: expected int, got str",
        "run_context: RunContext.total_files: expected int, got str",
        "file_outcome.seconds: no longer written, and read as its default",
    }


def test_what_an_older_version_lacks_is_defaulted():
    schemas = copy.deepcopy(committed())
    del schemas["file_item"]["properties"]["copies"]
    examples = {name: specimens_of(name, schemas) for name in ("file_item", "batch")}
    assert list(reading_faults(examples, CORE, newer=False)) == []


def test_a_model_that_only_an_older_version_knows_is_missed():
    assert list(reading_faults({"unheard_of": [{}]}, CORE, newer=True)) == []
    assert list(reading_faults({"unheard_of": [{}]}, CORE, newer=False)) == ["unheard_of: is not known to this version"]


def command(name, reported=None):
    return subprocess.run(
        [sys.executable, str(FOLDER), name], input=reported, capture_output=True, text=True, check=False, timeout=100
    )


def test_the_commands_speak_to_each_other():
    written = command("specimens")
    read = command("read-newer", written.stdout)
    assert (written.returncode, read.returncode, read.stdout, read.stderr) == (0, 0, "", "")
    reported = json.loads(written.stdout)
    reported["specimens"]["start"][0]["kind"] = "stream"
    read = command("read-older", json.dumps(reported))
    assert (read.returncode, read.stdout) == (1, "start: StartMessage.kind: expected one of api, etl\n")

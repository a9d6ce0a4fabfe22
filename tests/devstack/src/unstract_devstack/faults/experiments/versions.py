"""R33: workers of two releases side by side."""

from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.faults.registry import KEYED, Trial, experiment
from unstract_devstack.faults.tap import Heard
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, GENERAL, running_fleet

# Loaded by the interpreter of each worker of the later release: all that it writes has one more field.
LATER_RELEASE = """\
from unstract_worker_core import serialization

_plain = serialization.unstructure


def _with_more(value):
    plain = _plain(value)
    return {**plain, "of_a_later_release": {"list": [1, None]}} if isinstance(plain, dict) else plain


serialization.unstructure = _with_more
"""
UNKNOWN_SCHEMA = 99


@experiment("R33", modes=(KEYED,))
def two_releases(trial: Trial) -> None:
    """Workers that write fields which the others do not know, and doorbells of an unknown form: all is finished.

    The later release is this one with more fields in everything that it writes.
    """
    arena = trial.arena
    folder = arena.directory / "later"
    later = {**arena.environment, "PYTHONPATH": aiming.python_path(folder, sitecustomize=LATER_RELEASE)}
    kinds = (API_DEPLOYMENT, GENERAL, FILE_PROCESSING, CALLBACK)
    with running_fleet(later, folder, kinds=kinds):
        arena.trace.fault("later_release", "four more workers")
        tenant = new_tenant(arena)
        feeder = Feeder(tenant, trial.seed, 12, 5.0)
        feeder.start()
        sent = feeder.join()
        bells = arena.tap.heard(("uw_api_files", "uw_files", "uw_callback"))[-20:]
        arena.trace.fault("unknown_schema", f"{len(bells)} doorbells")
        arena.tap.push([_unknown(each) for each in bells])
        aiming.pause(1.0)
        trial.settle(*sent, tenant.api(3))


def _unknown(heard: Heard) -> Heard:
    arguments, _, *rest = heard.body
    return heard.with_body([arguments, {"schema": UNKNOWN_SCHEMA, "look": "elsewhere"}, *rest])

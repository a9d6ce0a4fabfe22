"""The protocol with one part taken away at a time, and what then goes wrong.

Each is a design that looks right and was used somewhere: the model must find its flaw, or it proves nothing about
the whole protocol.
"""

from typing import NamedTuple

from .state import Rules


class Variant(NamedTuple):
    """A broken protocol: what is missing, the kind of bad state, and a step that the way to it must have."""

    name: str
    rules: Rules
    problem: str
    step: str


VARIANTS = (
    # A lost doorbell is lost for good.
    Variant("no sweeper", Rules(sweeper=False), "stuck", "lose start"),
    # A worker that died between an effect and its record, or was paused there, has it repeated.
    Variant("no keyed effects", Rules(keys=False), "effect applied twice", "start: rows"),
    # The same batch counts down twice, so the run is finalised without the other one.
    Variant("a counter in place of outcomes", Rules(outcome_set=False), "terminal before all outcomes", "double 0"),
    # A worker paused past its lease comes back and writes over its successor's outcome.
    Variant("no fence", Rules(fence=False), "outcome overwritten", "pause past the lease of 0"),
    # A slow EXECUTING request arrives after the terminal status and stays.
    Variant("no second read-back", Rules(second_read_back=False), "stuck", "late EXECUTING"),
)

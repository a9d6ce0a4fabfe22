"""Which models one worker writes and another one reads, by the name of their schema."""

from collections.abc import Iterator
from importlib import import_module

__all__ = ["MODELS", "distribution_of", "found_models", "name_of"]

# `module:class`. A class that moves keeps its former places here, so that older releases are still found.
MODELS: dict[str, tuple[str, ...]] = {
    "run_doorbell": ("unstract_worker_core.doorbells:RunDoorbell",),
    "batch_doorbell": ("unstract_worker_core.doorbells:BatchDoorbell",),
    "start": ("unstract_worker_core.messages.start:StartMessage", "unstract_worker_core.messages:StartMessage"),
    "schedule": (
        "unstract_worker_general.schedule:ScheduleMessage",
        "unstract_worker_core.messages:ScheduleMessage",
    ),
    "webhook": (
        "unstract_worker_general.webhooks.message:WebhookMessage",
        "unstract_worker_core.messages:WebhookMessage",
    ),
    "batch": ("unstract_worker_core.messages.batch:BatchMessage", "unstract_worker_core.messages:BatchMessage"),
    "batch_result": ("unstract_worker_core.messages.batch:BatchResult", "unstract_worker_core.messages:BatchResult"),
    "api_result": (
        "unstract_worker_core.api_results:ApiResultItem",
        "unstract_worker_core.messages:ApiResultItem",
    ),
    "run_context": ("unstract_worker_core.ledger:RunContext",),
    "file_item": ("unstract_worker_core.ledger:FileItem",),
    "file_outcome": ("unstract_worker_core.ledger:FileOutcome",),
    "final_state": ("unstract_worker_core.ledger:FinalState",),
    "answer_ticket": ("unstract_worker_core.ledger:AnswerTicket",),
    "executor_answer": ("unstract_worker_core.ledger:ExecutorAnswer",),
    "dead_letter": ("unstract_worker_core.ledger:DeadLetter",),
    "executed": (
        "unstract_worker_file_processing.results:Executed",
        "unstract_worker_core.runs.outcomes:Executed",
        "unstract_worker_file_processing.outcomes:Executed",
    ),
    "callback": ("unstract_worker_callback.chord_compat:ChordCallback",),
}


def found_models() -> Iterator[tuple[str, type]]:
    """The models that the installed packages have; a worker's venv lacks those of the other workers."""
    for name, places in MODELS.items():
        model = next((found for place in places if (found := _at(place)) is not None), None)
        if model is not None:
            yield name, model


def name_of(model: type) -> str:
    """The name of the schema of a model.

    Raises:
        LookupError: the model is not in the catalogue, though one that is refers to it.
    """
    for name, found in found_models():
        if found is model:
            return name
    raise LookupError(f"{model.__module__}:{model.__qualname__} travels between workers: add it to MODELS")


def distribution_of(name: str) -> str:
    """The distribution whose version counts for a schema."""
    return MODELS[name][0].partition(".")[0].partition(":")[0].replace("_", "-")


def _at(place: str) -> type | None:
    module, _, attribute = place.partition(":")
    try:
        found: type | None = getattr(import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            return None
        raise
    return found

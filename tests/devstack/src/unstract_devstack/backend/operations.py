"""The operations of the internal API that the workers use, and of the dev API."""

from types import ModuleType

from unstract_devstack.backend.dev import objects, observation, runs
from unstract_devstack.backend.handlers import (
    execute_file,
    execution_status,
    executions,
    files,
    histories,
    notifications,
    pipelines,
    settings,
    source_files,
    tools,
    workflows,
)  # fmt: skip
from unstract_devstack.backend.wire import Operation


def operations_of(*modules: ModuleType) -> tuple[Operation, ...]:
    """What these modules define."""
    return tuple(each for module in modules for each in vars(module).values() if isinstance(each, Operation))


INTERNAL = operations_of(
    execute_file, execution_status, executions, files, histories, notifications, pipelines, settings,
    source_files, tools, workflows,
)  # fmt: skip
DEV = operations_of(objects, observation, runs)

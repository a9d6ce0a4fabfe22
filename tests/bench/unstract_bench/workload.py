"""The real-shape load: what one run of it is, and how it is started at the workers."""

from uuid import uuid4

from attrs import frozen

from unstract_bench.double.process import DoubleProcess
from unstract_bench.double.sources import uploaded
from unstract_devstack.producer import API_QUEUE, Producer, StartOptions

__all__ = ["BATCHES", "CALLS_A_FILE", "EXECUTE_SECONDS", "FILES", "OTHER_CALLS", "OTHER_SECONDS", "Load", "start"]

FILES, BATCHES = 1000, 100
# A file: three calls of 2 ms and one of 100 ms.
EXECUTE_SECONDS, OTHER_SECONDS, OTHER_CALLS = 0.1, 0.002, 3
CALLS_A_FILE = OTHER_CALLS + 1
ORGANIZATION = "org_bench"


@frozen
class Load:
    """Files in batches of equal size, so many batches at a time; a batch's files one after another."""

    files: int = FILES
    batches: int = BATCHES
    in_flight: int = BATCHES
    kind: str = "api"
    history: bool = False

    @property
    def ideal_seconds(self) -> float:
        """How long it takes where nothing but the backend's own time counts."""
        file = EXECUTE_SECONDS + OTHER_CALLS * OTHER_SECONDS
        return self.files * file / min(self.in_flight, self.batches)


def start(producer: Producer, double: DoubleProcess, load: Load) -> str:
    """Open an execution at the double and send its start message as the platform does; the execution's id."""
    execution_id, workflow_id, pipeline_id = (str(uuid4()) for _ in range(3))
    double.open(execution_id, workflow_id, kind=load.kind, files=load.files, batches=load.batches)
    files = uploaded(load.files, workflow_id, execution_id) if load.kind == "api" else {}
    options = StartOptions(pipeline_id=pipeline_id, use_file_history=load.history)
    queue = API_QUEUE if load.kind == "api" else None
    producer.start_execution(ORGANIZATION, workflow_id, execution_id, files, options, queue)
    return execution_id

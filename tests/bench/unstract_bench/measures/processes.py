"""P12: files a second of four file-processing processes over one, 8 in flight each.

A process spends most of its time waiting for the backend, as for a language model, so that the machine's cores do for
four: what limits would be the ledger, the broker or the sweeper. Each slot has three batches, so that the last of them
does not decide. The rate is that of the workers' calls, from the first answer to the last.
"""

from unstract_bench.figures import Bar, Figure, Measure, Samples
from unstract_bench.rig import Rig, running_rig, running_workers
from unstract_bench.rounds import Setting
from unstract_bench.workload import Load
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING

SLOTS, BATCHES_A_SLOT, FILES_A_BATCH = 8, 3, 10
PROCESSES = (1, 4)


def process_measures(setting: Setting) -> tuple[Measure, ...]:
    """P12."""
    samples = Samples()
    with (
        running_rig(setting.directory / "processes") as rig,
        running_workers(rig, kinds=(API_DEPLOYMENT, CALLBACK)),
    ):

        def once() -> None:
            setting.report("processes: one file-processing process, then four")
            for processes in PROCESSES:
                samples.add(str(processes), _files_a_second(rig, processes))

        setting.repeat(once, lambda: _figures(samples))
    title = f"files a second of four file-processing processes over one, {SLOTS} in flight each"
    return (Measure("P12", title, _figures(samples)),)


def _figures(samples: Samples) -> tuple[Figure, ...]:
    bar = Bar(3.4, 3.8, over="1", named="one process", better="higher")
    return (samples.figure("4", "four processes", "files / s", bar),)


def _files_a_second(rig: Rig, processes: int) -> float:
    slots = SLOTS * processes
    batches = slots * BATCHES_A_SLOT
    load = Load(batches * FILES_A_BATCH, batches, in_flight=slots)
    with running_workers(rig, slots=SLOTS, kinds=(FILE_PROCESSING,) * processes):
        rig.run(Load(slots, slots, in_flight=slots))  # threads and connections are there then
        rig.run(load)
    return load.files / rig.double.calls().span(FILE_PROCESSING.name)

"""P12: files a second of four file-processing processes over one, 8 in flight each. And the curves over slots of one.

A process spends most of its time waiting for the backend, as for a language model, so that the machine's cores do for
four: what limits would be the ledger, the broker or the sweeper. Each slot has three batches, so that the last of them
does not decide. The rate is that of the workers' calls, from the first answer to the last.
"""

from functools import partial

from unstract_bench.costs import pss_mib
from unstract_bench.figures import Figure, Measure, Samples
from unstract_bench.rig import Rig, running_rig, running_workers
from unstract_bench.rounds import Made, Setting
from unstract_bench.runners import bare_celery, running
from unstract_bench.workload import Load, start
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING

SLOTS, BATCHES_A_SLOT, FILES_A_BATCH = 8, 3, 10
PROCESSES = (1, 4)
CURVE, CURVE_FILES_A_BATCH, MOST_BATCHES = (1, 4, 16, 50, 100, 200), 6, 100


def process_measures(setting: Setting) -> Made:
    """P12."""
    text = "processes: one file-processing process, then four"
    with running_rig(setting.directory / "processes") as rig, running_workers(rig, kinds=(API_DEPLOYMENT, CALLBACK)):
        samples = setting.repeat(text, partial(_round, rig), _figures)
    title = f"files a second of four file-processing processes over one, {SLOTS} in flight each"
    return (Measure("P12", title, _figures(samples)),), {}


def _figures(samples: Samples) -> tuple[Figure, ...]:
    four, one = samples.of("4"), samples.of("1")
    return (Figure("four processes", "files / s", four, one, "one process", 3.4, 3.8, better="higher"),)


def _round(rig: Rig, samples: Samples) -> None:
    for processes in PROCESSES:
        slots = SLOTS * processes
        load = Load(slots * BATCHES_A_SLOT * FILES_A_BATCH, slots * BATCHES_A_SLOT, in_flight=slots)
        with running_workers(rig, slots=SLOTS, kinds=(FILE_PROCESSING,) * processes):
            rig.run(Load(slots, slots, in_flight=slots))  # threads and connections are there then
            rig.run(load)
        samples.add(str(processes), load.files / rig.double.calls().span(FILE_PROCESSING.name))


def slot_curves(setting: Setting) -> Made:
    """Files a second, and PSS in MiB, by slots, beside bare Celery. One round each: shapes, not verdicts."""
    runners = {"unstract-worker-file-processing": _ours, "bare Celery threads": _bare}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    memory: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    with running_rig(setting.directory / "slots") as rig:
        for slots in CURVE:
            if not setting.time_left:
                break
            setting.report(f"slots: {slots}")
            for name, measure in runners.items():
                rate, mib = measure(rig, slots)
                rates[name].append((float(slots), rate))
                memory[name].append((float(slots), mib))
    return (), {"rates": rates, "memory": memory}


def _ours(rig: Rig, slots: int) -> tuple[float, float]:
    """An execution has a hundred batches at most: more slots than that are filled by two executions."""
    runs = max(1, slots // MOST_BATCHES)
    batches = slots // runs
    load = Load(files=batches * CURVE_FILES_A_BATCH, batches=batches)
    kinds = (API_DEPLOYMENT, FILE_PROCESSING, CALLBACK)
    with running_workers(rig, file_slots=slots, kinds=kinds) as fleet:
        rig.double.reset()
        for execution, _ in [start(rig.producer, rig.double, load) for _ in range(runs)]:
            rig.double.wait_over(execution)
        memory = pss_mib(fleet.of(FILE_PROCESSING)[0].process.pid)
        return load.files * runs / rig.double.calls().span(FILE_PROCESSING.name), memory


def _bare(rig: Rig, slots: int) -> tuple[float, float]:
    runner, files = bare_celery(slots), slots * CURVE_FILES_A_BATCH
    with running(rig, runner) as process:
        runner.put_through(rig, "bare", files, slots)
        return files / rig.double.calls().span("bare"), pss_mib(process.pid)

"""The curves over slots: files a second and memory of one file-processing process, beside bare Celery's threads."""

from unstract_bench.costs import pss_mib
from unstract_bench.document import Curve
from unstract_bench.rig import Rig, running_rig, running_workers
from unstract_bench.rounds import Setting
from unstract_bench.runners import bare_celery, running, split
from unstract_bench.workload import CALLS_A_FILE, Load, start
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING

SLOTS = (1, 4, 16, 50, 100, 200)
FILES_A_BATCH, MOST_BATCHES = 6, 100


def slot_curves(setting: Setting) -> dict[str, Curve]:
    """Files a second, and PSS in MiB, by slots. One round each: shapes, not verdicts."""
    runners = {"unstract-worker-file-processing": _ours, "bare Celery threads": _bare}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    memory: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    with running_rig(setting.directory / "slots") as rig:
        for slots in SLOTS:
            if not setting.time_left:
                break
            setting.report(f"slots: {slots}")
            for name, measure in runners.items():
                rate, mib = measure(rig, slots)
                rates[name].append((float(slots), rate))
                memory[name].append((float(slots), mib))
    return {"rates": rates, "memory": memory}


def _ours(rig: Rig, slots: int) -> tuple[float, float]:
    """An execution has a hundred batches at most: more slots than that are filled by two executions."""
    runs = max(1, slots // MOST_BATCHES)
    batches = slots // runs
    load = Load(files=batches * FILES_A_BATCH, batches=batches)
    kinds = (API_DEPLOYMENT, FILE_PROCESSING, CALLBACK)
    with running_workers(rig, file_slots=slots, kinds=kinds) as fleet:
        rig.double.reset()
        for execution, _ in [start(rig.producer, rig.double, load) for _ in range(runs)]:
            rig.double.wait_over(execution)
        memory = pss_mib(fleet.of(FILE_PROCESSING)[0].process.pid)
        return load.files * runs / rig.double.calls().span(FILE_PROCESSING.name), memory


def _bare(rig: Rig, slots: int) -> tuple[float, float]:
    runner, files = bare_celery(slots), slots * FILES_A_BATCH
    with running(rig, runner) as process, runner.sender(rig) as send:
        rig.double.reset()
        for batch in split(files, slots):
            send(rig.double.url("bare"), batch)
        rig.double.wait_calls("bare", files * CALLS_A_FILE)
        return files / rig.double.calls().span("bare"), pss_mib(process.pid)

"""The curves over slots: files a second and memory of one file-processing process, beside bare Celery's threads."""

from unstract_bench.costs import pss_mib
from unstract_bench.document import Curve
from unstract_bench.rig import Ground, running_ground, running_workers
from unstract_bench.rivals import bare_celery, deal, running_rival
from unstract_bench.setting import Setting
from unstract_bench.workload import CALLS_A_FILE, Load, start
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING

__all__ = ["slot_curves"]

SLOTS = (1, 4, 16, 50, 100, 200)
FILES_A_BATCH, MOST_BATCHES = 6, 100
OURS, BARE = "unstract-worker-file-processing", "bare Celery threads"


def slot_curves(setting: Setting) -> tuple[Curve, Curve]:
    """Files a second, and PSS in MiB, by slots. One round each: shapes, not verdicts."""
    rates: dict[str, list[tuple[float, float]]] = {OURS: [], BARE: []}
    memory: dict[str, list[tuple[float, float]]] = {OURS: [], BARE: []}
    with running_ground(setting.directory / "slots") as ground:
        for slots in SLOTS:
            if not setting.time_left:
                break
            setting.say(f"slots: {slots}")
            for name, measured in ((OURS, _ours(ground, slots)), (BARE, _bare(ground, slots))):
                rates[name].append((float(slots), measured[0]))
                memory[name].append((float(slots), measured[1]))
    return rates, memory


def _ours(ground: Ground, slots: int) -> tuple[float, float]:
    """An execution has a hundred batches at most: more slots than that are filled by two executions."""
    kinds = (API_DEPLOYMENT, FILE_PROCESSING, CALLBACK)
    runs = max(1, slots // MOST_BATCHES)
    batches = slots // runs
    load = Load(files=batches * FILES_A_BATCH, batches=batches)
    with running_workers(ground, slots=16, file_slots=slots, kinds=kinds) as fleet:
        ground.double.reset()
        for execution in [start(ground.producer, ground.double, load) for _ in range(runs)]:
            ground.double.wait_over(execution)
        memory = pss_mib(fleet.of(FILE_PROCESSING)[0].process.pid)
        ground.forget_logs()
        return load.files * runs / ground.double.counts().spans[FILE_PROCESSING.name], memory


def _bare(ground: Ground, slots: int) -> tuple[float, float]:
    rival = bare_celery(slots)
    files = slots * FILES_A_BATCH
    with running_rival(ground, rival) as process, rival.send(ground) as send:
        ground.double.reset()
        for batch in deal(files, slots):
            send(ground.double.url("bare"), batch)
        ground.double.wait_calls("bare", files * CALLS_A_FILE)
        return files / ground.double.counts().spans["bare"], pss_mib(process.pid)

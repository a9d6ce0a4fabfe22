"""For the tests of workers: settings, a runtime on real servers and doorbells that only record. Nothing is patched."""

from unstract_worker_core.testing.doorbells import RecordingDoorbells, Ring
from unstract_worker_core.testing.errors import errors_of_each_kind
from unstract_worker_core.testing.runtimes import running_runtime
from unstract_worker_core.testing.settings import environment_for, settings_for

__all__ = ["RecordingDoorbells", "Ring", "environment_for", "errors_of_each_kind", "running_runtime", "settings_for"]

"""For the tests of workers: settings, a runtime on real servers and doorbells that only record. Nothing is patched."""

from unstract_worker_core.testing.doubles import RecordingDoorbells, Ring, errors_of_each_kind
from unstract_worker_core.testing.runtimes import environment_for, running_runtime, settings_for

__all__ = ["RecordingDoorbells", "Ring", "environment_for", "errors_of_each_kind", "running_runtime", "settings_for"]

"""A worker with a few small tasks, for tests of the process around them. It poses as the callback worker."""

from unstract_worker_core.worker import package_attributes

__getattr__ = package_attributes(__name__)

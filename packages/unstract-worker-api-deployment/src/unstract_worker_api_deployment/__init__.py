"""Starts API deployments' executions.

Importing it reads no environment; ``celery -A unstract_worker_api_deployment worker`` finds its app.
"""

from unstract_worker_core.worker import package_attributes

__all__ = ["__version__", "app"]

__getattr__ = package_attributes(__name__)

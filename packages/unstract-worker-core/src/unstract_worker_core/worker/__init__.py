"""The worker process: Celery with guarded settings, entry point, drain, watchdog and commands.

Modules are imported one by one where they are needed; importing this package loads nothing.
"""

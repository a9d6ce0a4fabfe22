"""Measures the workers against bare Celery, Celery's chord, dramatiq and taskiq, all in one run."""

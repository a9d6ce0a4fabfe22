"""Scaling rules as manifests: for KEDA, for a HorizontalPodAutoscaler, and as plain data.

A doorbell is acknowledged on receipt: what waits is in the queues, what runs is in the slots. Both are looked at, so
that a fleet whose queues are short is not shrunk below its work.
"""

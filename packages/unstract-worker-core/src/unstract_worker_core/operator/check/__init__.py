"""What `check` looks at before a worker is trusted with traffic: configuration, broker, queues, Redis, backend, clock.

Looking changes nothing. Each finding is a line: ok, warn or fail, and what to do.
"""

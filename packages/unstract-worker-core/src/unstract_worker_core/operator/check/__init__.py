"""What `check` looks at before a worker is trusted with traffic: configuration, broker, queues, Redis, backend, clock.

Looking changes nothing: what is written for a trial is taken away again. Each finding is a line: ok, warn or fail, and
what to do.
"""

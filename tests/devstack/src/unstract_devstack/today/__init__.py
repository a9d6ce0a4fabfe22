"""A plain Celery stand-in for today's workers, made from the contract's tasks and flows alone.

Each of the four roles is here with what its neighbours and the platform see of it: real chords over a real result
backend, rows and statuses, the API list, the pipeline's status, notifications. Left out, because no other part acts
on them: UI logs, marks of files in use, clean-up. Tools and connectors are the backend's `execute-file` and
`source-files`, as the reference backend offers them; retries are none.
"""

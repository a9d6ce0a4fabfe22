"""The stack, kept up: for curl, for workers started by hand, for looking around.

`python -m unstract_devstack.up` runs until Ctrl-C; with `--no-workers` it leaves the workers to you.
"""

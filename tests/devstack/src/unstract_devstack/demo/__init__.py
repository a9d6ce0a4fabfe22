"""The whole of it in one command: documents through four real workers, a real Redis and real HTTP.

`python -m unstract_devstack.demo` runs the sample documents and judges every outcome;
`python -m unstract_devstack.demo PATH...` runs your own files.
"""

"""Does a live backend serve the operations that a worker needs, as the contract says? Read-only without --write.

Each worker names its operations in its module `operations`; how each is tried is data here.
"""

"""The documents that the demo and the tests run on, and what must become of each.

`documents/` goes through an API deployment, `inbox/` through an ETL pipeline; `expected.json` says what each
file must end in. The files are written by `python -m unstract_devstack.samples.generate` and committed.
"""

from unstract_devstack.samples.expectations import DOCUMENTS, INBOX, Expectations, ExpectedFile, load_expectations

__all__ = ["DOCUMENTS", "INBOX", "Expectations", "ExpectedFile", "load_expectations"]

"""Writes the sample files: `python -m unstract_devstack.samples.generate`. The same bytes every time."""

import sys
from pathlib import Path

from unstract_devstack.samples import text_documents
from unstract_devstack.samples.pdf_documents import PDF_DOCUMENTS, PDF_INBOX, kestrel_invoice

HERE = Path(__file__).parent


def generate() -> dict[str, bytes]:
    """Every sample file but the locked PDF, whose encryption differs each time: relative name to content."""
    kestrel = kestrel_invoice()
    documents = {name: make() for name, make in PDF_DOCUMENTS.items()} | text_documents.DOCUMENTS
    documents["invoice-kestrel-copy.pdf"] = kestrel
    documents["invoice-broken.pdf"] = kestrel[:200]
    inbox = {name: make() for name, make in PDF_INBOX.items()} | text_documents.INBOX
    inbox["march/invoice-broken.pdf"] = kestrel[:300]
    named = {f"documents/{name}": content for name, content in documents.items()}
    return named | {f"inbox/{name}": content for name, content in inbox.items()}


def main() -> int:
    """Writes the files beside this module."""
    for name, content in generate().items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())

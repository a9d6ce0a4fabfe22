"""Real work on real files: the text or the rows of a document, then the fields that a workflow asks for.

The reference backend's `execute-file/` uses this in place of the platform's tools. It is deterministic,
and bad content ends in an `ExtractionError` whose reason can be shown to the person who sent the file.
"""

from unstract_devstack.extraction.extract import MAX_FILE_BYTES, extract, is_supported
from unstract_devstack.extraction.model import Extraction, ExtractionError, Field

__all__ = ["MAX_FILE_BYTES", "Extraction", "ExtractionError", "Field", "extract", "is_supported"]

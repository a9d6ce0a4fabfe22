"""The reference backend: the platform's internal API and public face, small enough to run anywhere.

It answers as the recorded platform does, with SQLite and plain directories behind it.
"""

from unstract_devstack.backend.application import BackendHandle, running
from unstract_devstack.backend.config import BackendConfig, FileWork, Mode, UploadRules

__all__ = ["BackendConfig", "BackendHandle", "FileWork", "Mode", "UploadRules", "running"]

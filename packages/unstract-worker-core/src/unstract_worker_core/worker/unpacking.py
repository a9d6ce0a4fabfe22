"""Keeps kombu from unpacking compressed messages.

kombu unpacks while it makes the message object, before anybody could look at its headers: a message of 1 MB may
become one of gigabytes. With this it fails instead, and the consumer refuses the message as a compressed one.
"""

from typing import NoReturn

from kombu import compression

__all__ = ["refuse_compression"]


def refuse_compression() -> None:
    """From now on this process unpacks no message, whatever its `compression` header says. May be called again."""
    for content_type in compression.encoders():
        encoder, _ = compression.get_encoder(content_type)
        compression.register(encoder, _refused, content_type)


def _refused(body: object) -> NoReturn:
    raise ValueError("compressed messages are refused")

"""Signatures as Standard Webhooks has them: HMAC-SHA256 over id, time and body.

A receiver takes what verifies and is at most 300 seconds old, and drops an id that it has seen.
"""

import base64
import hashlib
import hmac

from unstract_worker_core.config import Secret

__all__ = ["signature_headers"]


def signature_headers(secret: Secret, delivery_id: str, *, at: int, content: bytes) -> dict[str, str]:
    """`webhook-timestamp` and `webhook-signature` of one try; `at` is seconds since the epoch."""
    key = base64.b64decode(secret.reveal().removeprefix("whsec_"))
    signed = hmac.new(key, f"{delivery_id}.{at}.".encode() + content, hashlib.sha256).digest()
    return {"webhook-timestamp": str(at), "webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}

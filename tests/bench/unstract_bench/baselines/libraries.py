"""The six libraries that the workers use too: a baseline that did without them would be compared unfairly."""

import attrs
import cattrs
import httpx
import prometheus_client
import stamina
import structlog

__all__ = ["LIBRARIES"]

LIBRARIES = (attrs, cattrs, httpx, prometheus_client, stamina, structlog)

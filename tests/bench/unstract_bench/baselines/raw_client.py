"""The ceiling: the same calls from a client that does nothing else. Prints seconds for `FILES` in `FLIGHT` chains.

`python -m unstract_bench.baselines.raw_client ROOT FILES FLIGHT`
"""

import asyncio
import sys
import time
from urllib.parse import urlsplit

from unstract_bench.baselines.calls import calls_of

try:
    from uvloop import run
except ImportError:  # there is none for Windows
    from asyncio import run


async def chain(host: str, port: int, prefix: str, files: range) -> None:
    """The files of one chain, one after another, on one connection."""
    reader, writer = await asyncio.open_connection(host, port)
    for file in files:
        for asked in calls_of(file):
            body = asked.content or b""
            head = (
                f"{asked.method} {prefix}/{asked.path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
    writer.close()


async def main(root: str, files: int, flight: int) -> float:
    """All chains; the seconds that they took."""
    target = urlsplit(root)
    shares = [range(start, files, flight) for start in range(flight)]
    began = time.monotonic()
    await asyncio.gather(*(chain(target.hostname or "", target.port or 80, target.path, share) for share in shares))
    return time.monotonic() - began


if __name__ == "__main__":
    sys.stdout.write(f"{run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))}\n")

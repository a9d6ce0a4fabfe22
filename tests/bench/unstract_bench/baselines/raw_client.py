"""The ceiling: the same calls from a client that does nothing else, in so many chains. Prints the seconds it took.

`python -m unstract_bench.baselines.raw_client ROOT FILES CHAINS`
"""

import asyncio
import sys
import time
from urllib.parse import urlsplit

from unstract_bench.baselines.calls import requests_of

try:
    from uvloop import run
except ImportError:  # there is none for Windows
    from asyncio import run


async def chain(root: str, files: range) -> None:
    """The files of one chain, one after another, on one connection."""
    target = urlsplit(root)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    for file in files:
        for each in requests_of(file):
            line = f"{each.method} {target.path}/{each.path} HTTP/1.1"
            writer.write(
                f"{line}\r\nHost: bench\r\nContent-Length: {len(each.content)}\r\n\r\n".encode() + each.content
            )
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
    writer.close()


async def main(root: str, files: int, chains: int) -> None:
    """All chains."""
    began = time.monotonic()
    await asyncio.gather(*(chain(root, range(start, files, chains)) for start in range(chains)))
    sys.stdout.write(f"{time.monotonic() - began}\n")


if __name__ == "__main__":
    run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))

"""The double as a process: prints its port, then serves until it is ended."""

import asyncio
import gc
import sys

from unstract_bench.double.serving import Double, serve

try:
    from uvloop import run
except ImportError:  # there is none for Windows
    from asyncio import run


async def main() -> None:
    """Serve."""
    server = await serve(Double())
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(main())

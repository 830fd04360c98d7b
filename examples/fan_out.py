"""Do a hundred things side by side, ten at a time, each of them once.

Run it with everything in this process:

    python examples/fan_out.py
"""

from __future__ import annotations

import asyncio
from typing import TypedDict

from zopio_trigger import IO, Retry, client, send_event
from zopio_trigger.composition import embedded
from zopio_trigger.model.views import value


class Album(TypedDict):
    images: list[str]


async def resize(image: str) -> int:
    """Stands for work that takes a while; returns how many bytes came out."""
    await asyncio.sleep(0.01)
    return len(image) * 100


@client.job(
    id="resize-images",
    name="Resize Images",
    version="1.0.0",
    trigger=client.triggers.event(name="album.uploaded"),
)
async def resize_images(payload: Album, io: IO) -> dict[str, int]:
    # Each item is a task of its own. After a crash only the unfinished ones run again; a failing one is retried alone.
    sizes = await io.parallel("resize", payload["images"], resize, at_once=10, retry=Retry(max_attempts=3))
    return {"images": len(sizes), "bytes": sum(sizes)}


async def main() -> None:
    async with embedded(client) as platform:
        receipt = await send_event("album.uploaded", {"images": [f"{n:03}.jpg" for n in range(100)]})
        run = await platform.ended(receipt.runs[0])
        print(f"{run.job} {run.status} with {len(run.tasks)} tasks: {value(run.output)}")


if __name__ == "__main__":
    asyncio.run(main())

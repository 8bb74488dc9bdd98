"""A daemon that has child processes, one of them busy; it prints their ids."""

import asyncio
import multiprocessing
import time

from gateway_email.isolation import Child, Limits


async def main() -> None:
    """Never end."""
    child = Child(Limits(wall_seconds=600))
    busy = asyncio.create_task(child.run(time.sleep, 500))
    await child.run(max, [1, 2])
    print(*[each.pid for each in multiprocessing.active_children()], flush=True)  # noqa: T201
    await busy


if __name__ == "__main__":
    asyncio.run(main())

"""Work that blocks goes to a thread of the pool, and the loop goes on."""

import asyncio
import time


def work(line):
    time.sleep(0.1)  # a slow disk, or a library that blocks
    return line


async def main():
    ticks = 0
    job = asyncio.create_task(asyncio.to_thread(work, "A"))
    while not job.done():
        await asyncio.sleep(0.01)  # the loop serves others meanwhile
        ticks += 1
    print("the loop went on meanwhile:", ticks > 1)
    print("and the work is done:", await job)


asyncio.run(main())

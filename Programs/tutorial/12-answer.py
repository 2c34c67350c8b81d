"""Work that blocks goes to a thread of the pool, and the loop goes on."""

import asyncio
import threading


def work(line, disk):
    disk.wait()  # a slow disk, or a library that blocks
    return line


async def main():
    disk = threading.Event()
    job = asyncio.create_task(asyncio.to_thread(work, "A", disk))
    for _ in range(3):
        await asyncio.sleep(0.01)  # the loop serves others meanwhile
    print("the loop went on meanwhile:", not job.done())
    disk.set()
    print("and the work is done:", await job)


asyncio.run(main())

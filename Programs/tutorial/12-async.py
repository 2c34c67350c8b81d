"""Two clients at once. If a handler sleeps without await, it keeps the other waiting."""

import asyncio
import time


async def blocking(name, said):
    said.append(f"{name} begins")
    time.sleep(0.05)  # the whole loop sleeps
    said.append(f"{name} ends")


async def waiting(name, said):
    said.append(f"{name} begins")
    await asyncio.sleep(0.05)  # this task sleeps
    said.append(f"{name} ends")


async def both(handler):
    said = []
    await asyncio.gather(handler("A", said), handler("B", said))
    return ", ".join(said)


print("time.sleep:", asyncio.run(both(blocking)))
print("await:", asyncio.run(both(waiting)))

"""Backends of known speed: each serves so many requests at a time, and the others wait their turn.

Run as a program with one JSON argument, {"first_port", "sets", "backends", "slots", "slow"}: one
process serves every backend of every contestant's set. A request GET /TENTHS asks for so many
tenths of a millisecond of a backend of usual speed; the schedule of slowness, a list of [backend,
from, until, factor] in seconds, makes some slower. Time begins when GET /begin comes to the port
before the first. The schedule is the same for all sets, so every contestant meets the same fleet.
"""

import asyncio
import json
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Clock:
    def __init__(self):
        self.began = None

    def now(self):
        return 0.0 if self.began is None else asyncio.get_running_loop().time() - self.began


class Backend:
    def __init__(self, number, slots, slow, clock):
        self.slots = asyncio.Semaphore(slots)
        self.slow = [entry[1:] for entry in slow if entry[0] == number]
        self.clock = clock

    def factor(self):
        now = self.clock.now()
        factors = [factor for start, end, factor in self.slow if start <= now < end]
        return factors[-1] if factors else 1.0

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                work = int(head.split(b" ", 2)[1].lstrip(b"/")) / 10_000
                async with self.slots:
                    await asyncio.sleep(work * self.factor())
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def run(plan):
    clock = Clock()

    async def begin(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        clock.began = asyncio.get_running_loop().time()
        writer.write(ANSWER)
        writer.close()

    port = plan["first_port"]
    await asyncio.start_server(begin, "127.0.0.1", port - 1)
    for set_number in range(plan["sets"]):
        for number in range(plan["backends"]):
            backend = Backend(number, plan["slots"], plan["slow"], clock)
            at = port + set_number * plan["backends"] + number
            await asyncio.start_server(backend.serve, "127.0.0.1", at, backlog=1024)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))

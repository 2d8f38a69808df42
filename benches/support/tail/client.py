"""The load: requests at times that were fixed before, whatever becomes of those before them.

Run as a program with one JSON argument, {"ports", "begin_port", "rate", "work_ms", "warm",
"seconds", "seed"}; prints {port: [[time of the answer in ms, status], ...]} of what was asked for
after the warm time. All ports are asked for the same work at the same moments. A time counts from
the moment the request was due, so one that had to wait for anything has waited.
"""

import asyncio
import json
import random
import sys

TIMEOUT_SECONDS = 20


class Port:
    """One contestant: connections are kept, and opened when none is free."""

    def __init__(self, port):
        self.port = port
        self.free = []
        self.results = []

    async def ask(self, due, work, counts):
        loop = asyncio.get_running_loop()
        try:
            status = await asyncio.wait_for(self.exchange(work), TIMEOUT_SECONDS)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError):
            status = 0
        if counts:
            self.results.append([round((loop.time() - due) * 1000, 3), status])

    async def exchange(self, work):
        if self.free:
            reader, writer = self.free.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /%d HTTP/1.1\r\nHost: tail\r\n\r\n" % work)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(l.split(b":")[1]) for l in lines if l.startswith(b"content-length:"))
        await reader.readexactly(length)
        if b"connection: close" in lines:
            writer.close()
        else:
            self.free.append((reader, writer))
        return int(head.split(b" ", 2)[1])


async def run(plan):
    loop = asyncio.get_running_loop()
    dice = random.Random(plan["seed"])
    ports = [Port(port) for port in plan["ports"]]
    _, writer = await asyncio.open_connection("127.0.0.1", plan["begin_port"])
    writer.write(b"GET /begin HTTP/1.1\r\n\r\n")
    began, tasks, at = loop.time(), set(), 0.0
    while (at := at + dice.expovariate(plan["rate"])) < plan["warm"] + plan["seconds"]:
        work = int(dice.expovariate(1 / plan["work_ms"]) * 10) + 1
        due = began + at
        if (left := due - loop.time()) > 0:
            await asyncio.sleep(left)
        for port in ports:
            task = loop.create_task(port.ask(due, work, at >= plan["warm"]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    print(json.dumps({port.port: port.results for port in ports}))


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))

"""A process that writes to a store until it is killed, and notes every write that was acknowledged.

usage: crashwriter.py DATABASE JOURNAL SEED. Prints "ready" when the store is open. A journal line is
``<key> <revision> <value or "-" for a deletion>``, written before the worker's next write.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

from sampan.apiserver.storage.sqlite import SQLiteBackend
from sampan.base.clock import RealClock

WORKERS = 16
KEYS = 4


async def work(backend: SQLiteBackend, journal: int, worker: int, chance: random.Random) -> None:
    keys = [f"/registry/core/pods/w{worker}/p{n}" for n in range(KEYS)]
    heads = {key: record.revision for key in keys if (record := await backend.get(key))}
    while True:
        key = chance.choice(keys)
        value = b"%d:" % chance.randrange(10**9) + b"x" * chance.randrange(3000)
        if key not in heads:
            revision = heads[key] = await backend.create(key, value)
        elif chance.random() < 0.2:
            revision = await backend.delete(key, expected=heads.pop(key))
            value = b"-"
        else:
            revision = heads[key] = await backend.update(key, value, expected=heads[key])
        os.write(journal, b"%b %d %b\n" % (key.encode(), revision, value.split(b":")[0]))
        if worker == 0 and chance.random() < 0.02:
            await backend.compact(revision)


async def main(database: str, journal: str, seed: str) -> None:
    backend = SQLiteBackend(Path(database), RealClock())
    await backend.start()
    noted = os.open(journal, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as group:
        for worker in range(WORKERS):
            group.create_task(work(backend, noted, worker, random.Random(f"{seed}-{worker}")))


asyncio.run(main(*sys.argv[1:]))

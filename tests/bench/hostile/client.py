"""The hostile client's process: attacks until it is told to stop, then says what came of it."""

import asyncio
import json
import resource
import signal
import sys
from collections.abc import Sequence

import grpc

from bench.hostile.attacks import ATTACKS, BROKE_OFF, Tally, Target
from parfocal.v1.limits import REPLY_BYTES

_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", REPLY_BYTES.most),
]


async def attack(address: str, metrics_port: int, names: Sequence[str]) -> Tally:
    """Makes the attacks of these names until SIGTERM."""
    tally, stopped = Tally(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    host, _, port = address.rpartition(":")
    async with grpc.aio.insecure_channel(address, _OPTIONS) as channel:
        target = Target(channel, host, int(port), metrics_port)
        attacks = [asyncio.create_task(each(target, tally)) for each in ATTACKS if each.__name__ in names]
        await stopped.wait()
        for each in attacks:
            each.cancel()
        ended = await asyncio.gather(*attacks, return_exceptions=True)
    for end in ended:
        if isinstance(end, Exception):
            tally.ends[f"{BROKE_OFF}: {end!r}"] += 1
    return tally


def main() -> int:
    """Attacks `ADDRESS METRICS_PORT` with `ATTACK…` and prints one JSON object."""
    tally = asyncio.run(attack(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
    spent = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": spent.ru_utime + spent.ru_stime, "ends": dict(tally.ends)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

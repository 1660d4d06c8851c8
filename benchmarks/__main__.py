"""`python -m benchmarks NAME [options]`; without a name, the list of names."""

import sys
from importlib import import_module

BENCHMARKS = {
    "cadence": "polls per task against delay, in virtual time",
    "cost": "CPU of a typed poll over that of plain aiohttp",
    "in_flight": "memory, idle CPU, start and stop of 1,000 to 100,000 watched tasks",
    "batch": "outcomes per second of generate_many",
    "callbacks": "time from stage to event with callbacks and without, and a storm of bad ones",
    "downloads": "files from a host that does everything wrong, onto disks that hang or are full",
    "paid_call": "lost, doubled and hung submissions of random programs",
    "durable": "jobs that outlive kills, stops, outages and full disks, and what they cost",
    "command": "the command killed, hung up, unread and cut off in the middle of a batch",
    "soak": "everything at once for hours, killed, stopped and under faults",
    "faults": "every call under every fault: charges, lost, doubled, leaked",
    "mutations": "wrong versions of the library, and the test that notices each",
    "startup": "import time beyond the dependencies' own",
}


def main(argv: list[str]) -> None:
    """Run the benchmark that is named first, with the options that follow."""
    if not argv or argv[0] not in BENCHMARKS:
        print("python -m benchmarks NAME [options]\n")
        for name, purpose in BENCHMARKS.items():
            print(f"  {name:10} {purpose}")
        sys.exit(bool(argv) and f"\nthere is no benchmark {argv[0]!r}")
    import_module(f"benchmarks.{argv[0]}").main(argv[1:])


if __name__ == "__main__":
    main(sys.argv[1:])

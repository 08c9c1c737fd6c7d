"""A task for the benchmark's runner, which imports as little as it can."""

import time


def hold_memory(mib: int) -> dict[str, int]:
    """Hold some memory for a second."""
    held = bytearray(mib * 2**20)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(1)  # so that it is seen on a busy machine, too
    return {"bytes": len(held)}

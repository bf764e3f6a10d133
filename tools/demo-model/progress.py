"""Log lines stamped with the seconds since the program started."""

import time

START = time.time()


def elapsed() -> float:
    """Seconds since the program started."""
    return time.time() - START


def log(*values: object) -> None:
    print(f"[{elapsed():6.1f}s]", *values, flush=True)

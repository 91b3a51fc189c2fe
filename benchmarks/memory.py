"""One kernel in a process of its own: prints the bytes that its second call needed at its peak, results included.

`python -m benchmarks.memory KERNEL NOMINAL_SIZE PEER`. The first call has compiled whatever there was to compile.
"""

from __future__ import annotations

import gc
import resource
import sys
from pathlib import Path

from benchmarks.kernels import SUITE
from benchmarks.peers import PEERS

STATUS = Path("/proc/self/status")


def status_bytes(name: str) -> int:
    """A memory figure of this process from the kernel's status file, in bytes."""
    line = next(
        line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(name + ":")
    )
    return int(line.split()[1]) * 1024


def reset_peak() -> int:
    """Start a new peak; returns the resident bytes from which it rises."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return status_bytes("VmRSS")
    except OSError:
        return (
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        )  # the old peak: then the answer is a lower bound


def peak() -> int:
    """The peak of the resident bytes."""
    return (
        status_bytes("VmHWM")
        if STATUS.exists()
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )


def main() -> None:
    """Run the kernel of the command line."""
    name, nominal, peer = sys.argv[1:]
    kernel = SUITE[name]
    # The first call runs at a small size: it compiles, and leaves no large blocks behind for the second one to reuse.
    small = PEERS[peer].prepare(kernel, kernel.setup(kernel.scaled(10_000)))
    call = PEERS[peer].prepare(kernel, kernel.setup(kernel.scaled(int(float(nominal)))))
    if call is None or small is None:
        raise SystemExit(f"{peer} has no {name}")
    small()
    gc.collect()
    before = reset_peak()
    result = call()
    print(peak() - before)
    del result


if __name__ == "__main__":
    main()

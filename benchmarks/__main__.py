"""The command line of the suite.

The kernel cache on disk is off unless LEGATE_JIT_CACHE_DIR says otherwise, so that first calls show what compiling costs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("LEGATE_JIT_CACHE_DIR", "0")  # read when the engine is first imported

from benchmarks import machine, micro, report
from benchmarks.kernels import SUITE
from benchmarks.measure import Row, measure, peak_memory
from benchmarks.peers import OURS, PEERS


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="The same kernels in several packages, in one run."
    )
    names = lambda text: [name for name in text.split(",") if name]  # noqa: E731
    parser.add_argument(
        "--kernels", type=names, default=list(SUITE), help="comma-separated names (default: all)"
    )
    parser.add_argument(
        "--sizes", type=names, default=["1e7"], help="nominal sizes, e.g. 1e4,1e7 (default 1e7)"
    )
    parser.add_argument(
        "--peers", type=names, default=list(PEERS), help=f"of {','.join(PEERS)}; those installed run"
    )
    parser.add_argument("--repeat", type=int, default=5, help="interleaved samples of each contender")
    parser.add_argument("--memory", action="store_true", help="measure peak memory too, a process for each")
    parser.add_argument(
        "--micro", action="store_true", help="only the small costs: recording, import, compiling, memory"
    )
    parser.add_argument(
        "--every-size",
        nargs="?",
        const="",
        metavar="NAMES",
        help="only usual calls on 10 to 1e6 elements, each with a fence: our time over NumPy's",
    )
    parser.add_argument("--tasks", action="store_true", help="only the documented task programs")
    parser.add_argument(
        "--rank-peers", action="store_true", help="two processes of this package, of Dask and of Heat"
    )
    parser.add_argument(
        "--ranks", action="store_true", help="only 2 ranks of 1 thread (mpiexec) against 1 rank of 2 threads"
    )
    parser.add_argument(
        "--machine",
        metavar="FILE",
        help="only measure what simulations of ranks need to know of this machine",
    )
    parser.add_argument(
        "--scaling",
        nargs="?",
        const="",
        metavar="FILE",
        help="only weak scaling to 4096 simulated ranks (FILE: of a machine measured by --machine)",
    )
    parser.add_argument(
        "--validate",
        metavar="FILE",
        help="only what simulations of 1 and 2 ranks say of this machine, and what is so",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--png", type=Path, metavar="FILE", help="write a picture (needs matplotlib)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, three samples")
    parser.add_argument("--list", action="store_true", help="list the kernels")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.kernels if name not in SUITE] + [
        name for name in options.peers if name not in PEERS
    ]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.quick:
        options.sizes, options.repeat = ["1e6"], min(options.repeat, 3)
    return options


def run_suite(options: argparse.Namespace) -> list[Row]:
    """Measure everything, with a line of progress for each case."""
    peers = [PEERS[name] for name in options.peers if PEERS[name].available]
    missing = [name for name in options.peers if not PEERS[name].available]
    if missing:
        print(f"not installed: {', '.join(missing)}")
    rows = []
    for size in (int(float(size)) for size in options.sizes):
        for name in options.kernels:
            progress(f"{name} {size:.0e}")
            found = measure(SUITE[name], size, peers, options.repeat)
            for row in found:
                if options.memory and row.peer in ("numpy", OURS):
                    row.peak = peak_memory(row.kernel, size, row.peer)
            rows += found
    progress("")
    return rows


def simulations(options: argparse.Namespace) -> int:
    """What `--machine`, `--scaling` and `--validate` ask for."""
    from benchmarks import calibrate, scaling

    if options.machine is not None:
        constants = calibrate.measured()
        Path(options.machine).write_text(json.dumps(constants, indent=1) + "\n", encoding="utf-8")
        print("\n".join(f"{name:16}{value:.3g}" for name, value in constants.items()))
    names = [n for n in scaling.PROGRAMS if n in options.kernels or n not in SUITE]
    if options.scaling is not None:
        for name in names:
            points = [scaling.simulated(name, ranks, options.scaling) for ranks in scaling.RANKS]
            print(scaling.table(name, points), end="\n\n", flush=True)
    if options.validate is not None:
        print(scaling.validation(names, options.validate, options.repeat))
    return 0


def progress(text: str) -> None:
    """Show on a terminal what is being measured."""
    if sys.stderr.isatty():
        print(f"  {text:40}", end="\r", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Run as the arguments say; 1 when one of our own kernels failed."""
    options = parsed(arguments)
    if options.list:
        print(
            "\n".join(f"{kernel.name:16}{kernel.family:14}n={kernel.size:.3g}" for kernel in SUITE.values())
        )
        return 0
    if options.micro:
        print(micro.table(micro.measurements()))
        return 0
    if options.every_size is not None:
        from benchmarks import sizes

        for line in sizes.lines([name for name in options.every_size.split(";") if name]):
            print(line, flush=True)
        return 0
    if options.tasks:
        from benchmarks import tasks  # here: it starts the Legate runtime, which seeds NumPy

        print(tasks.table(options.repeat))
        return 0
    if options.rank_peers:
        from benchmarks import rank_peers

        names = [name for name in options.kernels if name in rank_peers.PROGRAMS]
        for line in rank_peers.lines(names, int(float(options.sizes[0])), options.repeat):
            print(line, flush=True)
        return 0
    if options.ranks:
        from benchmarks import ranks

        names = [n for n in options.kernels if n in ranks.PROGRAMS] or list(ranks.PROGRAMS)
        for size in options.sizes:
            print(ranks.table(names, int(float(size)), options.repeat, 1 if options.quick else 3))
        return 0
    if options.machine is not None or options.scaling is not None or options.validate is not None:
        return simulations(options)
    limits = machine.limits()
    print(
        f"{machine.processor()}, {len(os.sched_getaffinity(0))} threads, memory {limits.bandwidth / 1e9:.1f} GB/s"
    )
    rows = run_suite(options)
    ran = [peer for peer in options.peers if any(row.peer == peer for row in rows)]
    print(report.table(rows, ran, limits))
    print(report.means(rows, ran))
    failed = report.failures(rows)
    if failed:
        print(failed)
    if options.csv:
        report.write_csv(rows, options.csv, limits)
    if options.png:
        report.write_picture(rows, ran, options.png)
    return int(any(row.failure and row.peer == OURS for row in rows))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

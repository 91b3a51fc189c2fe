"""What was measured, as a table, a CSV file and a picture."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.machine import Limits
from benchmarks.measure import Row
from benchmarks.peers import OURS

Case = tuple[str, int]  # kernel name and size


def cases(rows: Iterable[Row]) -> dict[Case, dict[str, Row]]:
    """The rows by kernel and size, then by peer, in the order of measurement."""
    found: dict[Case, dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row.kernel.name, row.size), {})[row.peer] = row
    return found


def speedup(by_peer: dict[str, Row], peer: str) -> float:
    """How many times faster than NumPy, by medians; NaN where it was not measured."""
    row, base = by_peer.get(peer), by_peer.get("numpy")
    return base.median / row.median if row is not None and base is not None else math.nan


def share(row: Row | None, limits: Limits | None) -> float:
    """The share of the machine's bandwidth, or for matrix products of its flops, that a kernel's minimum reaches."""
    if row is None or limits is None:
        return math.nan
    flops = row.kernel.flops(row.size)
    if flops:
        return flops / row.minimum / limits.gemm[4 if row.kernel.name.endswith("f32") else 8]
    traffic = row.kernel.traffic(row.size)
    return traffic / row.minimum / limits.bandwidth if traffic else math.nan


def geometric_mean(values: Iterable[float]) -> tuple[float, int]:
    """The geometric mean of the numbers that are there, and how many there are."""
    logs = [math.log(value) for value in values if not math.isnan(value)]
    return (math.exp(sum(logs) / len(logs)), len(logs)) if logs else (math.nan, 0)


def number(value: float, form: str = ".1f") -> str:
    """The number, or nothing for NaN."""
    return "" if math.isnan(value) else format(value, form)


def significant(value: float) -> str:
    """Three digits, whatever the magnitude."""
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(rows: Sequence[Row], peers: Sequence[str], limits: Limits | None) -> str:
    """The table: milliseconds of NumPy and of ours (median, minimum, first call), then ratios to NumPy's time."""
    others = [peer for peer in peers if peer not in ("numpy", OURS)]
    head = [
        "kernel",
        "n",
        "numpy ms",
        "ours ms",
        "min",
        "first",
        "limit",
        "ours x",
        *[f"{p} x" for p in others],
    ]
    with_memory = any(not math.isnan(row.peak) for row in rows)
    if with_memory:
        head += ["peak MB", "numpy"]
    lines = [head]
    for (name, size), by_peer in cases(rows).items():
        ours, base = by_peer.get(OURS), by_peer.get("numpy")
        none = Row(next(iter(by_peer.values())).kernel, size, "")
        ours, base = ours or none, base or none
        line = [name, f"{size:.2g}".replace("e+0", "e"), significant(base.median * 1e3)]
        line += [
            significant(ours.median * 1e3),
            significant(ours.minimum * 1e3),
            significant(ours.first * 1e3),
        ]
        line += [number(share(ours, limits) * 100, ".0f") + ("%" if ours.samples and limits else "")]
        line += [significant(speedup(by_peer, peer)) for peer in (OURS, *others)]
        if with_memory:
            line += [number(ours.peak / 1e6, ".0f"), number(base.peak / 1e6, ".0f")]
        lines.append(line)
    return aligned(lines)


def aligned(lines: list[list[str]]) -> str:
    """Columns padded to equal width, the first one to the left."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = []
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        text.append("  ".join([line[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(text)


def means(rows: Sequence[Row], peers: Sequence[str]) -> str:
    """Geometric means of the ratios to NumPy for the fused kernels and for all, and ours against the best of the others."""
    found = cases(rows)
    groups = {
        "fused kernels": [by for by in found.values() if next(iter(by.values())).kernel.fused],
        "all kernels": list(found.values()),
    }
    lines = []
    for title, group in groups.items():
        if not group:
            continue
        parts = []
        for peer in peers:
            mean, count = geometric_mean(speedup(by, peer) for by in group)
            if count and peer != "numpy":
                parts.append(f"{peer} {mean:.2f} ({count})")
        lines.append(f"geometric mean over NumPy, {title}: " + ", ".join(parts))
    for peer in peers:
        if peer in ("numpy", OURS):
            continue
        mean, count = geometric_mean(speedup(by, OURS) / speedup(by, peer) for by in found.values())
        if count:
            lines.append(f"ours against {peer}: {mean:.2f} times its speed ({count} kernels)")
    return "\n".join(lines)


def failures(rows: Iterable[Row]) -> str:
    """A line for each kernel that a peer could not run or got wrong."""
    return "\n".join(
        f"failed: {row.peer} {row.kernel.name} n={row.size}: {row.failure}" for row in rows if row.failure
    )


def write_csv(rows: Iterable[Row], path: Path, limits: Limits | None) -> None:
    """One line for each measurement; times in seconds, peak in bytes."""
    found = cases(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(
            [
                "kernel",
                "n",
                "peer",
                "median_s",
                "min_s",
                "first_s",
                "speedup",
                "limit_share",
                "peak_bytes",
                "failure",
            ]
        )
        for (name, size), by_peer in found.items():
            for peer, row in by_peer.items():
                figures = (
                    row.median,
                    row.minimum,
                    row.first,
                    speedup(by_peer, peer),
                    share(row, limits),
                    row.peak,
                )
                out.writerow([name, size, peer, *[number(figure, ".6g") for figure in figures], row.failure])


def write_picture(rows: Sequence[Row], peers: Sequence[str], path: Path) -> None:
    """Bars of the ratios to NumPy's time on a logarithmic axis, one panel for each nominal size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = cases(rows)
    shown = [peer for peer in peers if peer != "numpy"]
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.16 * len(found) * (len(shown) + 1)))
    height = 0.8 / max(1, len(shown))
    for offset, peer in enumerate(shown):
        values = [speedup(by_peer, peer) for by_peer in found.values()]
        places = [place + (offset - (len(shown) - 1) / 2) * height for place in range(len(values))]
        axes.barh(places, [value - 1 for value in values], height, left=1, label=peer)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(found)), [f"{name} {size:.0e}".replace("e+0", "e") for name, size in found])
    axes.invert_yaxis()
    axes.set_xlabel("times NumPy's speed")
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)

"""Information about the installation, benchmark logs, C headers, whether the runtime runs, the package's own attributes."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import legate
from legate import install_info
from legate.util import fs, info
from legate.util._benchmark.settings import settings
from legate.util.benchmark import BenchmarkLog, BenchmarkLogFromFilename, benchmark_log
from legate.util.has_started import runtime_has_started

SIZES, TIMES = [1, 10, 100], [0.5, 1.0, 2.0]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#")))


def test_version_and_runtime() -> None:
    assert re.match(r"^\d{2}\.\d{2}\.\d{2}$", legate.__version__)
    from legate.core import get_legate_runtime

    assert legate.get_legate_runtime is get_legate_runtime
    with pytest.raises(AttributeError, match="module 'legate' has no attribute 'nothing'"):
        _ = legate.nothing


def test_install_info() -> None:
    assert (install_info.use_cuda, install_info.use_openmp, install_info.networks) == (False, False, [])
    assert info.build_info()["networks"] == "" and info.build_info()["build_type"] == "Release"


def test_whether_the_runtime_runs() -> None:
    import legate.core  # noqa: F401

    assert runtime_has_started()
    program = """
from legate.util.has_started import runtime_has_started
from legate.util import info
assert info.info(start_runtime=False)["Machine"]["CPU"] == "(runtime not started)"
assert not runtime_has_started()
assert info.info()["Machine"]["CPU"].startswith("Proc([0,")
assert runtime_has_started()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("columns", [("size", "time"), ("size (florps)", "time (seconds)")])
def test_benchmark_log(columns: tuple[str, str]) -> None:
    out = io.StringIO()
    with benchmark_log("basic", list(columns), out=out) as log:
        assert isinstance(log, BenchmarkLog)
        for size, time in zip(SIZES, TIMES, strict=True):
            log.log(**{columns[1]: time, columns[0]: size})
    expected = [{columns[0]: str(s), columns[1]: str(t)} for s, t in zip(SIZES, TIMES, strict=True)]
    assert rows(out.getvalue()) == expected


def test_missing_values() -> None:
    out = io.StringIO()
    with benchmark_log("basic", ["size", "time"], out=out) as log:
        log.log(size=1)
        log.log()
    assert [list(row.values()) for row in rows(out.getvalue())] == [["1", "(missing)"], ["(missing)"] * 2]


def test_header_of_logs() -> None:
    out = io.StringIO()
    with benchmark_log("basic", ["size"], out=out):
        pass
    header = "".join(line.strip("#") for line in io.StringIO(out.getvalue()) if line.startswith("#"))
    expected = [
        *(
            "Benchmark *:",
            "  Name *:",
            "  ID *:",
            "  Time *:",
            "  Global rank *:",
            "  Local rank *:",
            "  Node *:",
        ),
        *("Program *:", "Legate runtime configuration *:", "Machine *:", "  Preferred target *:", "  GPU *:"),
        *("  OMP *:", "  CPU *:", "System info *:", "  Python *:", "  Platform *:", "  GPU driver *:"),
        *(
            "  GPU devices *:",
            "Package versions *:",
            "  legion *:",
            "  legate *:",
            "  cupynumeric *:",
            "  numpy *:",
        ),
        *(
            "  scipy *:",
            "  numba *:",
            "Package details *:",
            "  cuda-version *:",
            "Legate build configuration *:",
        ),
        *("  build_type *:", "  use_openmp *:", "  use_cuda *:", "  networks *:", "  conduit *:"),
        "  configure_options *:",
    ]
    for entry in expected:
        assert re.search(entry, header), entry


def test_logs_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(settings), "out", lambda self: str(tmp_path))
    wrapped = benchmark_log("my bench", ["size"])
    assert isinstance(wrapped, BenchmarkLogFromFilename)
    with wrapped as log:
        log.log(size=3)
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(r"mybench_[0-9a-f]{16}\.0\.csv", file.name)
    assert rows(file.read_text()) == [{"size": "3"}]


def test_logs_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with benchmark_log("basic", ["size"]) as log:
        log.log(size=4)
    assert rows(capsys.readouterr().out) == [{"size": "4"}]


def test_printing(capsys: pytest.CaptureFixture[str]) -> None:
    info.print_build_info()
    info.print_package_versions()
    info.print_package_details()
    info.print_system_info()
    info.print_conda_package_details()
    out = capsys.readouterr().out
    for title in ("Legate build configuration:", "Package versions:", "Package details:", "System info:"):
        assert title in out
    assert re.search(r"^  use_cuda +:  False$", out, re.MULTILINE)


def test_conda_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conda-meta"
    folder.mkdir()
    facts = {
        "name": "legate",
        "version": "26.06.00",
        "build": "py311_0",
        "channel": "https://somewhere/linux-64",
    }
    (folder / "legate-26.06.00-py311_0.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(info, "sys", SimpleNamespace(prefix=str(tmp_path)))
    info._conda_package_dists.cache_clear()
    try:
        found = info.conda_package_dists()
    finally:
        info._conda_package_dists.cache_clear()
    assert found["prefix"] == str(tmp_path)
    assert found["legate"] == "legate-26.06.00-py311_0 (https://somewhere/linux-64)"
    assert found["cuda-version"] == info.FAILED_TO_DETECT


def test_c_headers(tmp_path: Path) -> None:
    header = tmp_path / "sample.h"
    header.write_text('#pragma once\n#define FOO 10\n#define  BAR   "bar"\n#define EMPTY\n', encoding="utf-8")
    assert fs.read_c_define(header, "FOO") == "10"
    assert fs.read_c_define(header, "BAR") == '"bar"'
    for name in ("JUNK", "EMPTY"):
        assert fs.read_c_define(header, name) is None
    assert fs.read_c_define(tmp_path / "missing.h", "FOO") is None


def test_cmake_caches(tmp_path: Path) -> None:
    cache = tmp_path / "CMakeCache.txt"
    cache.write_text("A:BOOL=OFF\nB:PATH=foo/bar\n", encoding="utf-8")
    assert fs.read_cmake_cache_value(cache, "B:PATH=") == "foo/bar"
    with pytest.raises(RuntimeError, match="Could not find value for JUNK"):
        fs.read_cmake_cache_value(cache, "JUNK")

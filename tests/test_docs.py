"""The commands of README.md and docs/, run as they stand on a small program."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/running.md", "docs/debugging.md")
PROGRAM = """
import sys
import cupynumeric as np
x = np.linspace(0.0, 1.0, 1000)
print("mean", float((x * 2).mean()), sys.argv[1:])
"""
#: what takes long, installs, or needs a cluster; several ranks start in tests/cli
_LEFT_OUT = (
    "pip",
    "benchmarks",
    "srun",
    "mpirun",
    "#SBATCH",
    "#!",
    "--ranks-per-node",
    "--compare",
    "simulate",
)


def commands() -> list[tuple[str, str]]:
    """Page and text of each command line that starts one of our programs."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                text = line.partition(" #")[0].strip()
                if text and not any(word in line for word in _LEFT_OUT) and "jupyter" not in text:
                    found.append((page, text))
    return found


@pytest.mark.one_rank
@pytest.mark.parametrize(("page", "text"), commands())
def test_the_command_runs(page: str, text: str, tmp_path: Path) -> None:
    for name in ("program.py", "script.py", "package/module.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "package/__init__.py").touch()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    words = shlex.split(
        text.replace(".venv/bin/", "").replace("'code'", "'import cupynumeric as np; print(np.ones(3))'")
    )
    environment = dict(os.environ)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = str(ROOT) + (os.pathsep + path if path else "")
    start = {"python": [], "legate": ["-m", "legate_jit"], "legate-jit": ["-m", "legate_jit"]}[words[0]]
    if words[-1] == "examples/jacobi.py":  # a smaller grid
        words += ["-n", "64"]
    if words[-1] == "examples/saxpy.py":
        words += ["-n", "1000"]
    done = subprocess.run(
        [sys.executable, *start, *words[1:]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr


def test_there_are_commands() -> None:
    assert {page for page, _ in commands()} == set(PAGES)
    assert len(commands()) >= 9

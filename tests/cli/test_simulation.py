"""`legate-jit --simulate-ranks`: a program of ranks that do not exist, and the report of what they would do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_command import run

PROGRAM = """\
import sys
import cupynumeric as np
import legate
n = 20_000
u = np.zeros((n, n))
u[0, :] = 1.0
for _ in range(5):
    u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
    legate.fence()
print(sys.argv[1:], float(u.max()))
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "heat.py"
    path.write_text(PROGRAM)
    return str(path)


def test_report(script: str, tmp_path: Path) -> None:
    path, machine = tmp_path / "report.json", tmp_path / "machine.json"
    machine.write_text('{"latency": 1e-5}')
    flags = ("--simulate-ranks", "256", "--simulate-reads=7", f"--simulate-report={path}")
    done = run(*flags, "--machine", str(machine), script, "--its-own", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['--its-own', '1'] 7.0\n---- simulated on 256 ranks ")
    assert "heat.py:10 reads an array that a simulation does not compute" in done.stderr
    found = json.loads(path.read_text())
    assert (found["ranks"], found["looked_at"], found["machine"]["latency"]) == (256, [0, 136, 255], 1e-5)
    middle = found["total"]["136"]
    share = 8 * 20_000**2 // 256
    assert share <= middle["peak_bytes"] <= 3 * share
    assert middle["exchanges"]["halo"]["sent_bytes"] == middle["exchanges"]["halo"]["received_bytes"] > 0
    assert middle["exchanges"]["combine"]["sent"] == 8
    assert sum(w["times"] for w in found["windows"]) >= 6
    assert found["seconds"] > 0


def test_dumps_name_the_rank(script: str) -> None:
    done = run("--simulate-ranks", "64", "--dump-ir=graph,schedule", script)
    assert done.returncode == 0, done.stderr
    for rank in (0, 36, 63):
        assert f"# ---- window 1 schedule on rank {rank} (" in done.stderr
    assert done.stderr.count("# ---- window 1 graph (") == 1


def test_a_program_that_fails_keeps_its_status(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("import cupynumeric as np\nx = np.ones(10**6) + 1\nraise SystemExit(3)\n")
    done = run("--simulate-ranks", "4", str(path))
    assert done.returncode == 3 and "simulated on 4 ranks" in done.stdout


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--simulate-ranks", "0"), "must be a positive number, not '0'"),
        (("--simulate-ranks", "4", "--simulate-reads", "x"), "--simulate-reads x: must be a number"),
        (("--simulate-ranks", "4", "--machine", "/nowhere"), "--machine /nowhere: /nowhere: No such file"),
        (("--simulate-report", "x"), "--simulate-report needs --simulate-ranks"),
        (("--simulate-ranks", "4", "--ranks-per-node", "2"), "--simulate-ranks runs in one process"),
    ],
)
def test_flags_that_mean_nothing(script: str, flags: tuple[str, ...], complaint: str) -> None:
    done = run(*flags, script)
    assert done.returncode == 2 and complaint in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]", "must be an object with some of bandwidth"),
        ('{"speed": 1}', "there is no 'speed'"),
        ('{"network": "fast"}', "network must be a number, not 'fast'"),
        ('{"network": 0}', "network must be positive"),
        ("{", "Expecting property name"),
    ],
)
def test_machines_that_mean_nothing(script: str, tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text)
    done = run("--simulate-ranks", "4", "--machine", str(path), script)
    assert done.returncode == 2 and complaint in done.stderr

"""Jobs of a real srun, where SLURM answers: `.ci/slurm` starts one of this machine's own. Skipped elsewhere.

Needs two nodes, which may be one machine, and ranks of an MPI that speaks PMI-2 (MPICH).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from ranks.launch import ROOT

_LEGATE = "import sys; from legate_jit.cli.main import main; sys.argv[0] = 'legate'; main()"
_BOUND = 60.0


def _answers() -> bool:
    if not os.environ.get("SLURM_CONF") or shutil.which("sinfo") is None:
        return False
    done = subprocess.run(["sinfo", "-h", "-o", "%D"], capture_output=True, text=True, timeout=30)
    return done.stdout.strip().isdecimal() and int(done.stdout) >= 2


pytestmark = pytest.mark.skipif(not _answers(), reason="no SLURM of two nodes")


def started(program: str, *words: str) -> subprocess.Popen[str]:
    """`legate --launcher srun` with a program's text."""
    line = [sys.executable, "-c", _LEGATE, "--launcher", "srun", *words, "-c", textwrap.dedent(program)]
    return subprocess.Popen(
        line,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(program: str, *words: str) -> tuple[int, str, str]:
    """The status, and what was written."""
    process = started(program, *words)
    out, err = process.communicate(timeout=_BOUND)
    return process.returncode, out, err


_PLACES = """
    import cupynumeric as np
    from legate_jit.process.world import world
    print(*world[:4], float(np.arange(300_000.0).sum()))
"""


def test_ranks_of_two_nodes() -> None:
    status, out, err = ended(_PLACES, "--nodes", "2", "--ranks-per-node", "2")
    assert (status, err) == (0, "")
    places = [f"{rank} 4 {rank % 2} 2 44999850000.0" for rank in range(4)]
    assert sorted(out.splitlines()) == places


def test_a_launcher_without_the_right_protocol_is_told() -> None:
    status, out, err = ended(_PLACES, "--ranks-per-node", "2", "--launcher-extra=--mpi=none")
    assert status != 0 and not out
    assert err.count("start it with the mpiexec of the MPI that mpi4py uses") == 1


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("raise ValueError('only here')", "rank 1 of 2: ValueError at <string>:5"),
        ("import sys; sys.exit(0)", "rank 1: sys.exit(0) at <string>:5"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ""),
    ],
)
def test_faults(fault: str, cause: str) -> None:
    program = f"""
    import cupynumeric as np
    from legate_jit.process.world import world
    x = np.arange(300_000.0)
    if world.rank: {fault}
    print(float(x.sum()))
    """
    start = time.monotonic()
    status, out, err = ended(program, "--ranks-per-node", "2")
    assert status != 0 and not out and time.monotonic() - start < _BOUND / 2
    causes = [line for line in err.splitlines() if line.startswith("[legate-jit]")]
    assert len(causes) == bool(cause) and all(cause in line for line in causes), err


def test_one_interrupt_ends_the_job() -> None:
    process = started(
        """
        import os
        import cupynumeric as np
        from legate_jit import runtime
        x = np.arange(300_000.0)
        runtime.fence()
        os.write(1, b"ready\\n")
        while True:
            x = np.sqrt(x + 1)
            runtime.fence()
        """,
        "--ranks-per-node",
        "2",
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=_BOUND)
    assert process.returncode != 0
    assert err.count("[legate-jit] ") <= 1


def test_a_batch_script(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    legate = f"{sys.executable} -c {_LEGATE!r}".replace("'", '"').replace('"legate"', "'legate'")
    script.write_text(
        f"#!/bin/bash\n#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\n#SBATCH --output={tmp_path}/out\n"
        f"export PYTHONPATH={ROOT}\n{legate} --launcher srun {tmp_path}/program.py\n"
    )
    (tmp_path / "program.py").write_text(textwrap.dedent(_PLACES))
    subprocess.run(["sbatch", "--wait", str(script)], check=True, capture_output=True, timeout=_BOUND)
    said = (tmp_path / "out").read_text()
    assert sorted(said.splitlines()) == [f"{rank} 2 0 1 44999850000.0" for rank in range(2)]

"""Jupyter kernels: their installation, and one of two ranks that runs cells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ranks.launch import AS_ROOT, left, needs_mpi

from legate_jit.cli import flags, notebooks

manager = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).resolve().parents[2]
_INSTALL = "import sys; from legate_jit.cli.notebooks import main; main()"
_AMBIENT = ("LEGATE_", "LEGION_", "REALM_", "OMPI_", "PMI_", "MPI_", "SLURM_", "JUPYTER_")
BOUND = 90


def environment(folder: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_AMBIENT)}
    jupyter = {
        "JUPYTER_DATA_DIR": str(folder),
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
        "IPYTHONDIR": str(folder),
    }
    return (
        inherited
        | AS_ROOT
        | jupyter
        | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "LEGATE_JIT_DEALT_FROM": "10000",
            "PYTHONUNBUFFERED": "",
        }
    )


def install(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _INSTALL, *words], capture_output=True, text=True, timeout=BOUND, env=environment(folder)
    )  # fmt: skip


def test_installing(tmp_path: Path) -> None:
    done = install(tmp_path)
    assert done.stdout == "Jupyter kernel spec Legate_SM_GPU (Legate_SM_GPU) has been installed\n"
    again = install(tmp_path, "--user")
    assert (again.returncode, again.stdout) == (1, "") and "Legate_SM_GPU" in again.stderr
    done = install(
        tmp_path, "--name", "legate_cpus_2", "--display-name", "Two", "--cpus", "2", "--ranks-per-node", "3"
    )
    assert done.stdout == "Jupyter kernel spec legate_cpus_2 (Two) has been installed\n"
    kernel = json.loads((tmp_path / "kernels/legate_cpus_2/kernel.json").read_text())
    assert kernel["argv"][1:-4] == ["-m", "legate_jit", "--cpus", "2", "--ranks-per-node", "3"]
    assert kernel["metadata"]["legate"]["cpus"] == 2
    elsewhere = install(tmp_path, "--prefix", str(tmp_path / "env"))
    assert (
        elsewhere.returncode == 0
        and (tmp_path / "env/share/jupyter/kernels/legate_sm_gpu/kernel.json").exists()
    )
    wrong = install(tmp_path, "--cpus", "many")
    assert (wrong.returncode, wrong.stdout) == (2, "") and "--cpus" in wrong.stderr
    assert install(tmp_path, "prog.py").returncode == 2


def test_about() -> None:
    config = flags.parse(["--nodes", "1", "--cpus", "4"], {})
    known = notebooks.spec("a", "A", ["--cpus", "4"], config)["metadata"]["legate"]
    assert known["nodes"] == 1 and known["cpus"] == 4


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a kernel of two ranks."""
    needs_mpi()
    token = f"notebook-{time.monotonic_ns()}"
    assert install(tmp_path, "--name", "two", "--ranks-per-node", "2").returncode == 0
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    for name in list(os.environ):
        if name.startswith(_AMBIENT) and not name.startswith("JUPYTER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LEGATE_TEST_JOB", token)
    running = manager.KernelManager(kernel_name="two")
    running.start_kernel()
    client = running.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=BOUND)
        yield Cells(running, client)
    finally:
        client.stop_channels()
        running.shutdown_kernel(now=False)
    assert left(token) == 0


class Cells:
    """Runs cells and collects what they show."""

    def __init__(self, running: Any, client: Any) -> None:
        self.running, self.client = running, client

    def run(self, source: str, during: Any = None) -> str:
        shown: list[str] = []

        def note(message: Any) -> None:
            content = message["content"]
            kind = message["msg_type"]
            if kind == "stream":
                shown.append(content["text"])
                if during is not None:
                    during()
            elif kind == "execute_result":
                shown.append(content["data"]["text/plain"])
            elif kind == "error":
                shown.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(source, timeout=BOUND, output_hook=note)
        return "".join(shown)


def test_cells_run_on_all_ranks(kernel: Cells) -> None:
    assert (
        kernel.run(
            "import cupynumeric as np\nfrom legate_jit.process.world import world\nx = np.arange(100_000.0)"
        )
        == ""
    )
    assert kernel.run("world.size, world.rank") == "(2, 0)"
    assert kernel.run("print('once')\nx.sum()") == "once\nnp.float64(4999950000.0)"
    assert kernel.run("x.reshape(7)").startswith("ValueError: cannot reshape")
    assert kernel.run("y = = 1").startswith("SyntaxError")
    assert kernel.run("%load_ext legate.jupyter\n%legate_info").startswith(
        "Kernel 'two' configured for 1 node(s)\n\nCores:"
    )
    interrupted = kernel.run(
        "count = 0\nprint('on', flush=True)\nwhile True:\n    x += 1; count += 1; s = float(x[0])",
        lambda: threading.Timer(0.5, kernel.running.interrupt_kernel).start(),
    )
    assert "KeyboardInterrupt" in interrupted
    assert kernel.run("float(x[0]) - count in (0, 1)") == "True"

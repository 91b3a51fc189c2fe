"""The `legate-jit` command runs programs as python does, and adds dumps and debug lines on standard error only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """\
import sys
import cupynumeric as np
import legate
x = np.arange(12.0).reshape(3, 4)
for _ in range(3):
    y = np.sqrt(x[1:] + x[:-1]).sum(axis=0)
    legate.fence()
print(sys.argv, __name__, float(y[0]))
"""


def run(*words: str, program: str = "-m legate_jit", **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("LEGATE_JIT_", "NO_COLOR", "FORCE_COLOR"))
    }
    return subprocess.run(
        [sys.executable, *program.split(), *words],
        capture_output=True,
        text=True,
        timeout=120,
        env=clean | {"OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)} | environment,
    )


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "prog.py"
    path.write_text(PROGRAM)
    return str(path)


def test_arguments_after_the_script_are_the_scripts(script: str) -> None:
    done = run("--dump-ir=graph", script, "--dump-ir=nonsense", "-m", "x")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{[script, '--dump-ir=nonsense', '-m', 'x']} __main__ 5.464101615137754\n"
    assert "def window(" in done.stderr and "kernel k0" not in done.stderr


def test_default_stages_and_each_structure_once(script: str) -> None:
    done = run("--dump-ir", "--debug", "1", script)
    assert [len(re.findall(rf"window 1 {s} ", done.stderr)) for s in ("graph", "kernels", "schedule", "source")] == [
        1, 1, 1, 0,
    ]  # fmt: skip
    assert re.findall(r"flush \d+ +(miss|hit)", done.stderr).count("hit") >= 1
    assert "prog.py:6: y = np.sqrt(x[1:] + x[:-1]).sum(axis=0)" in done.stderr
    assert "fence at" in done.stderr and "\x1b[" not in done.stderr


def test_every_stage(script: str) -> None:
    done = run("--dump-ir=all", script)
    assert done.returncode == 0, done.stderr
    for stage in (
        "graph",
        "simplified",
        "pieces",
        "lowered",
        "fused",
        "kernels",
        "schedule",
        "source",
        "asm",
    ):
        assert f"window 1 {stage} " in done.stderr
    assert "define " in done.stderr and "llvm" not in done.stdout


@pytest.mark.parametrize(
    ("level", "words"), [("2", ["GB/s"]), ("3", ["def window(", "kernel k0"]), ("4", ["define "])]
)
def test_levels(script: str, level: str, words: list[str]) -> None:
    done = run("--debug", level, script, LEGATE_JIT_TIER0="0")
    assert done.returncode == 0, done.stderr
    assert all(w in done.stderr for w in [*words, "[legate-jit] flush 1"])
    assert done.stdout == run(script).stdout


def test_environment_under_plain_python(script: str) -> None:
    done = run(program=script, LEGATE_JIT_DEBUG="1", LEGATE_JIT_DUMP_IR="kernels")
    assert "[legate-jit] flush 1" in done.stderr and "kernel k0" in done.stderr


def test_colors_and_files(script: str, tmp_path: Path) -> None:
    assert "\x1b[" in run("--dump-ir", script, FORCE_COLOR="1").stderr
    assert "\x1b[" not in run("--dump-ir", script, FORCE_COLOR="1", NO_COLOR="1").stderr
    out = tmp_path / "dump.txt"
    done = run("--dump-ir", "--dump-file", str(out), script)
    assert done.stderr == "" and "def window(" in out.read_text()


@pytest.mark.parametrize("target", ["reference", "null"])
def test_dumps_for_other_targets(script: str, target: str) -> None:
    assert "kernel k0" in run("--dump-ir", script, LEGATE_JIT_TARGET=target).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frobnicate", "x.py"], "--frobnicate"),
        (["--deb", "1", "x.py"], "--deb"),
        (["--debug", "7", "x.py"], "--debug=7: must be one of"),
        (["--dump-ir=graph,nonsense", "x.py"], "no stage 'nonsense'"),
        (["nowhere.py"], "can't open file 'nowhere.py': No such file or directory"),
        (["--dumpir", "program.py"], "unrecognized arguments: --dumpir (did you mean --dump-ir?)"),
        (["-m"], "-m needs an argument"),
        (["--dump-file=/nowhere/x", "x.py"], "--dump-file=/nowhere/x"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str) -> None:
    done = run(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_a_wrong_variable_is_one_line(script: str) -> None:
    done = run(script, LEGATE_JIT_DEBUG="loud")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "LEGATE_JIT_DEBUG" in done.stderr and "'loud'" in done.stderr


CASES = [
    "import sys; sys.exit(7)",
    "import sys; sys.exit('sorry')",
    "def f():\n    1 / 0\nf()",
    "x = (",
    "raise SystemExit",
    "import os; print(__file__, os.path.basename(__import__('sys').path[0]))",
    "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__module__)",
    "raise KeyboardInterrupt",
]


@pytest.mark.parametrize("text", CASES)
def test_ends_as_under_python(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prog.py"
    path.write_text(text + "\n")
    ours, theirs = run(str(path)), run(program=str(path))
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


def test_code_and_modules(tmp_path: Path) -> None:
    text = "import sys; print(sys.argv, sys.path[0] == '', __name__)"
    assert run("-c", text, "-x").stdout == run("-c", text, "-x", program="").stdout
    (tmp_path / "tool.py").write_text("import sys; print(sys.argv[1:], __name__, __file__)\n")
    words = ("-m", "tool", "--flag", "1")
    environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    assert run(*words, **environment).stdout == run(*words, program="", **environment).stdout
    missing = run("-m", "no_such_module")
    assert missing.returncode == 1 and missing.stderr == "legate-jit: no module named 'no_such_module'\n"


def test_help_and_version() -> None:
    shown = run("--help")
    assert shown.returncode == 0 and "--dump-ir" in shown.stdout
    assert re.fullmatch(r"legate-jit \d+\.\d+\.\d+\n", run("--version").stdout)

"""The `legate` command: how its words are read, what the program then sees, and how both end."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest
from ranks.launch import AS_ROOT

from legate_jit.cli import driver, flags
from legate_jit.cli.driver import FORWARDED, LegateDriver
from legate_jit.cli.flags import Config, UsageError
from legate_jit.cli.main import run as run_command
from legate_jit.process import arguments

ROOT = Path(__file__).resolve().parent.parent.parent
LEGATE = [
    sys.executable,
    "-c",
    "import sys; from legate_jit.cli.main import main; sys.argv[0] = 'legate'; main()",
]
MPIRUN = os.path.join(sysconfig.get_path("scripts"), "mpirun")
needs_mpi = pytest.mark.skipif(not os.access(MPIRUN, os.X_OK), reason="no mpirun next to this Python")
#: variables that would change what is tested
_AMBIENT = ("LEGATE_", "LEGION_", "REALM_", "OMPI_", "PMI_", "MPI_", "SLURM_", "NO_COLOR", "FORCE_COLOR")


def clean(**more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_AMBIENT)}
    return inherited | AS_ROOT | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"} | more


def legate(
    *words: str, given: str = "", cwd: Any = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LEGATE, *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        env=clean(**environment),
        cwd=cwd,
    )


def parse(line: str, **environment: str) -> Config:
    return flags.parse(shlex.split(line), environment)


def write(folder: Path, text: str, name: str = "prog.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


# ---- reading the command line ------------------------------------------------------------------------------------------


def test_what_follows_the_program_is_the_programs() -> None:
    found = parse("--cpus 2 prog.py --cpus 3 -m x --verbose")
    assert found.program == ("prog.py", "--cpus", "3", "-m", "x", "--verbose")
    assert found.runtime["cpus"] == 2 and not found.switches
    assert parse("-- --odd.py -x").program == ("--odd.py", "-x")


@pytest.mark.parametrize("line", ["-m a.b c -d", "-ma.b c -d", "--module a.b c -d", "--module=a.b c -d"])
def test_modules(line: str) -> None:
    found = parse(f"--verbose {line}")
    assert (found.module, found.program, found.switches) == ("a.b", ("c", "-d"), {"verbose"})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--profile prog.py", True),
        ("--profile=1 prog.py", True),
        ("--profile 1 prog.py", True),
        ("--profile=Yes prog.py", True),
        ("--profile 0 prog.py", False),
        ("--profile=f prog.py", False),
        ("--profile --profile=no prog.py", False),
        ("prog.py", False),
    ],
)
def test_booleans(line: str, expected: bool) -> None:
    found = parse(line)
    assert found.runtime["profile"] is expected and found.program == ("prog.py",)


def test_every_flag_of_the_runtime_is_a_flag_of_the_command() -> None:
    samples = {"BOOL": "1", "INT": "7", "MIB": "9", "STRING": "a=info", "PATH": "/x y"}
    for flag in arguments.FLAGS.values():
        found = flags.parse([flag.name, samples[flag.kind], "prog.py"], {})
        assert found.program == ("prog.py",), flag.name
        assert found.runtime[flag.key] == arguments.convert(flag, samples[flag.kind])
        assert arguments.parse(found.runtime_text, {})[flag.key] == found.runtime[flag.key]


def test_flags_win_over_the_environment() -> None:
    found = parse("--cpus 3 prog.py", LEGATE_CONFIG=" --cpus 2 --logging 'a=info' ")
    assert found.runtime_text == "--cpus 2 --logging 'a=info' --cpus=3"
    assert (found.runtime["cpus"], found.runtime["logging"]) == (3, "a=info")
    assert parse("--cpu 4 --gpu 0 prog.py").runtime["cpus"] == 4


def test_flags_of_the_runtimes_below_are_passed_on() -> None:
    found = parse("-lg:eager_alloc_percentage 60 -ll:cpu 2 -ll:cputsc -level legate=info prog.py")
    driver_ = LegateDriver.create(found, {"LEGION_DEFAULT_ARGS": "-ll:gpu 0"})
    assert found.program == ("prog.py",)
    assert driver_.environment["LEGION_DEFAULT_ARGS"] == (
        "-ll:gpu 0 -lg:eager_alloc_percentage 60 -ll:cpu 2 -ll:cputsc -level legate=info"
    )


def test_what_else_the_program_sees(tmp_path: Path) -> None:
    line = (
        f"--dump-ir --debug 2 --dump-file {tmp_path}/dump --color --benchmark-to-file --logdir /logs prog.py"
    )
    found = LegateDriver.create(parse(line), {})
    assert found.environment == {
        "LEGATE_JIT_DUMP_IR": "1",
        "LEGATE_JIT_DEBUG": "2",
        "LEGATE_JIT_DUMP_FILE": f"{tmp_path}/dump",
        "FORCE_COLOR": "1",
        "LEGATE_BENCHMARK_OUT": "/logs",
        "LEGATE_CONFIG": "--logdir=/logs",
    }
    assert found.customized == tuple(sorted(found.environment))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--frobnicate prog.py", "unrecognized arguments: --frobnicate"),
        ("--verb prog.py", r"unrecognized arguments: --verb \(did you mean --verbose\?\)"),
        ("--nodes 0 prog.py", "--nodes: must be a positive number, not '0'"),
        ("--nodes", "--nodes needs an argument"),
        ("--launcher ssh prog.py", "--launcher: invalid choice: 'ssh'"),
        ("--cpus x prog.py", "--cpus expects an integer, not 'x'"),
        ("--cpus -3 prog.py", r"Number of CPU cores \(--cpus\) must be >= 0, have -3"),
        ("--profile=maybe prog.py", "Unknown boolean argument maybe"),
        ("-m", "-m needs an argument"),
        ("""--wrapper "a 'b" prog.py""", "No closing quotation"),
    ],
)
def test_mistakes(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(line)
    assert "\n" not in str(caught.value) and caught.value.code == 2


def test_a_mistake_in_the_environment_has_its_own_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["prog.py"], {"LEGATE_CONFIG": "--frob"}) == 1
    assert capfd.readouterr().err == "legate: LEGATE_CONFIG: Unknown argument: --frob\n"


def test_how_programs_are_run(tmp_path: Path) -> None:
    script, program = write(tmp_path, ""), write(tmp_path, "#!/bin/sh\n", "prog")
    other = write(tmp_path, "", "data")
    os.chmod(script, 0o755)
    os.chmod(program, 0o755)
    for words, python in (
        ([script], True),
        ([program], False),
        ([other], True),
        ([str(tmp_path)], True),
        (["-m", program], True),
        (["-c", program], True),
        ([], True),
        (["--run-mode", "python", program], True),
        (["--run-mode=exec", script], False),
    ):
        assert driver.plain_python(flags.parse(words, {})) is python, words
    with pytest.raises(UsageError, match="--run-mode exec needs a program"):
        _ = LegateDriver.create(parse("--run-mode exec"), {}).command


def test_help_names_every_flag(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"], {}) == 0
    text = capfd.readouterr().out
    names = re.findall(r"`(--[a-z-]+)", (ROOT / "docs" / "running.md").read_text(encoding="utf-8"))
    known = {name for option in flags._OPTIONS for name in option.names} | set(flags._SETTINGS)
    shown = known - {flag.name for flag in arguments.FLAGS.values() if flag.hidden}
    assert {name for name in shown if name not in text} == set()
    assert {name for name in shown if name not in names and name.startswith("--")} == set()


# ---- running -----------------------------------------------------------------------------------------------------------


def test_a_program_sees_its_arguments_and_settings(tmp_path: Path) -> None:
    script = write(tmp_path, "import os, sys; print(sys.argv[1:], os.environ['LEGATE_CONFIG'], os.getppid())")
    done = legate("--cpus", "2", script, "--cpus", "3", LEGATE_CONFIG="--cpus 1 --profile 0")
    assert done.returncode == 0, done.stderr
    # the program took the place of the command: its parent is ours
    assert done.stdout == f"['--cpus', '3'] --cpus 1 --profile 0 --cpus=2 {os.getpid()}\n"


def test_show_config_once(tmp_path: Path) -> None:
    script = write(tmp_path, "import cupynumeric")
    done = legate("--show-config", "--cpus", "2", "--sysmem", "77", script)
    assert done.stdout.count("Legate configuration summary:") == 1
    assert "- cpus = 2" in done.stdout and "(77 MiB)" in done.stdout
    assert legate(script, LEGATE_CONFIG="--show-config").stdout.count("Legate configuration summary:") == 1


def test_dry_run_and_verbose(tmp_path: Path) -> None:
    script = write(tmp_path, "print('it ran')")
    done = legate("--dry-run", "--nodes", "2", "--launcher", "srun", script, "a b")
    assert done.stdout == (
        f"srun -n 2 --ntasks-per-node 1 {sys.executable} -P -m legate_jit.cli.bind --launcher srun -- "
        f"{sys.executable} {script} 'a b'\n"
    )
    done = legate("--dry-run", "--verbose", "--cpus", "1", script, SLURM_JOB_NUM_NODES="1")
    assert "it ran" not in done.stdout and f"\nCommand:\n  {sys.executable} {script}\n" in done.stdout
    assert "nodes          : 1, detected from SLURM" in done.stdout
    assert "Customized environment:\n  LEGATE_CONFIG=--cpus=1\n" in done.stdout and "\x1b" not in done.stdout


def test_timing(tmp_path: Path) -> None:
    done = legate("--timing", write(tmp_path, "print('ran'); raise SystemExit(5)"))
    assert re.fullmatch(r"Legate start: \d{4}-\S+ \S+\nran\nLegate end: \d{4}-\S+ \S+\n", done.stdout)
    assert done.returncode == 5


def test_executables(tmp_path: Path) -> None:
    program = write(tmp_path, '#!/bin/sh\necho "$1 $LEGATE_CONFIG"\nexit 9\n', "prog")
    os.chmod(program, 0o755)
    for word in ("./prog", program):
        done = legate("--cpus", "1", word, "x", cwd=tmp_path)
        assert (done.stdout, done.returncode) == ("x --cpus=1\n", 9)
    done = legate("--run-mode", "exec", "prog", "x", cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("x \n", 9)
    done = legate("--run-mode", "exec", "no-such-program")
    assert (done.returncode, done.stderr) == (
        127,
        "legate: cannot run 'no-such-program': No such file or directory\n",
    )


def test_sessions_read_standard_input() -> None:
    done = legate("--cpus", "1", given="import os\nprint(os.environ['LEGATE_CONFIG'], 1 + 1)\n")
    assert (done.stdout, done.returncode) == ("--cpus=1 2\n", 0)


def test_a_bound_rank_is_named(tmp_path: Path) -> None:
    script = write(
        tmp_path, "import os; print(sorted(os.sched_getaffinity(0)), os.environ['LEGATE_GLOBAL_RANK'])"
    )
    core = min(os.sched_getaffinity(0))
    done = legate(
        "--cpu-bind", str(core), "--bind-detail", "--wrapper", "echo %%LEGATE_GLOBAL_RANK%%", script
    )
    assert done.stdout == f"0 {sys.executable} {script}\n"
    assert f"legate: rank 0 (0 of its node): cores {core}\n" in done.stderr
    assert legate("--cpu-bind", str(core), script).stdout == f"[{core}] 0\n"
    done = legate("--cpu-bind", "100000", script)
    assert (done.returncode, done.stderr) == (
        1,
        "legate: rank 0 cannot run on cores 100000: Invalid argument\n",
    )


def test_profiles_of_python(tmp_path: Path) -> None:
    done = legate("--cprofile", "--logdir", str(tmp_path), write(tmp_path, "print(sum(range(9)))"))
    assert done.stdout == "36\n" and (tmp_path / "legate_0.cprof").stat().st_size > 0


def test_information() -> None:
    text = legate("--info").stdout
    assert all(
        title in text for title in ("System info:", "Package versions:", "Legate build configuration:")
    )


# ---- signals -----------------------------------------------------------------------------------------------------------

# By os.write: a signal that comes while `print` still holds the stream cannot print. In short sleeps: one that comes just before
# a sleep begins is heeded after it.
CATCHER = """\
import os, signal, sys, time
def caught(number, frame):
    os.write(1, f'caught {signal.Signals(number).name}\\n'.encode())
    sys.exit(40 + number)
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), caught)
os.write(1, b'ready\\n')
for _ in range(600):
    time.sleep(0.1)
"""


def started(
    *words: str, ignored: tuple[signal.Signals, ...] = (), **environment: str
) -> subprocess.Popen[str]:
    """A command whose program is ready for signals, with these ignored from its start, and no others."""

    def handlers() -> None:
        for number in FORWARDED:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    process = subprocess.Popen(
        [*LEGATE, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=clean(**environment),
        preexec_fn=handlers,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line == "ready\n":
            break
    return process


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"])
@pytest.mark.parametrize("words", [(), ("--timing",)])
def test_signals_reach_the_program(tmp_path: Path, words: tuple[str, ...], name: str) -> None:
    process = started(*words, write(tmp_path, CATCHER), name)
    process.send_signal(getattr(signal, name))
    out, _ = process.communicate(timeout=60)
    assert f"caught {name}\n" in out
    assert process.returncode == 40 + getattr(signal, name)


_SRUN = """#!{python}
import os, signal, time
times = []
signal.signal(signal.SIGINT, lambda *_: times.append(time.monotonic()))
os.write(1, b"ready\\n")
while len(times) < 2:
    time.sleep(0.05)
os._exit(9 if times[1] - times[0] < 1 else 1)
"""


def test_one_interrupt_ends_srun(tmp_path: Path) -> None:
    """It wants two within a second; one only has it tell what it does."""
    srun = tmp_path / "srun"
    srun.write_text(_SRUN.replace("{python}", sys.executable))
    srun.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    process = started("--launcher", "srun", "--ranks-per-node", "2", write(tmp_path, CATCHER), PATH=path)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 9


def test_nohup_is_respected(tmp_path: Path) -> None:
    script = write(tmp_path, "import time; print('ready', flush=True); time.sleep(2); print('done')")
    process = started("--timing", script, ignored=(signal.SIGHUP,))
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=60)
    assert "done\n" in out
    assert process.returncode == 0


def test_a_program_ended_by_a_signal(tmp_path: Path) -> None:
    script = write(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert legate(script).returncode == -signal.SIGKILL
    assert legate("--timing", script).returncode == 128 + signal.SIGKILL


def test_the_program_ends_with_the_command(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = write(
        tmp_path,
        f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        "print('ready', flush=True)\ntime.sleep(60)",
    )
    process = started("--timing", script)
    process.kill()
    process.communicate(timeout=60)
    assert ended_within(int(pid_file.read_text()), 20)


def ended_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


# ---- several ranks -----------------------------------------------------------------------------------------------------

RANKS = """\
import os, sys
words = ['LEGATE_GLOBAL_RANK', 'LEGATE_LOCAL_RANK', 'LEGATE_JIT_EXPECT_RANKS', 'SIZE', 'LEGATE_CONFIG']
os.environ['SIZE'] = os.environ.get('PMI_SIZE') or os.environ.get('OMPI_COMM_WORLD_SIZE', '-')
os.write(1, (' '.join([*(os.environ.get(w, '-') for w in words), *sys.argv[1:]]) + '\\n').encode())
sys.exit(int(os.environ.get('CODE', '0')))
"""


@needs_mpi
def test_ranks_of_mpirun(tmp_path: Path) -> None:
    done = legate("--ranks-per-node", "2", "--launcher", "mpirun", "--cpus", "1", write(tmp_path, RANKS), "a")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0 0 2 2 --cpus=1 a", "1 1 2 2 --cpus=1 a"]
    assert legate("--ranks-per-node", "2", write(tmp_path, RANKS), CODE="3").returncode == 3


@needs_mpi
def test_signals_end_a_launched_job(tmp_path: Path) -> None:
    process = started("--ranks-per-node", "2", write(tmp_path, CATCHER))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0


@needs_mpi
def test_an_external_launcher_starts_the_same_ranks(tmp_path: Path) -> None:
    script = write(tmp_path, RANKS)
    done = subprocess.run(
        [MPIRUN, "-n", "2", *LEGATE, "--cpus", "1", script],
        capture_output=True,
        text=True,
        timeout=120,
        env=clean(),
    )
    assert sorted(done.stdout.splitlines()) == ["0 0 2 2 --cpus=1", "1 1 2 2 --cpus=1"], done.stderr

"""LEGATE_CONFIG: the language of flags, what counts when several say something, automatic configuration, and whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from legate.core import get_legate_runtime
from legate_jit.process.arguments import FLAGS, ArgumentError, parse, usage
from legate_jit.process.resources import MEBIBYTE, AutoConfigurationError, Resources, configure, summary


def flags(text: str = "", **environment: str) -> Any:
    return parse(text, environment)


def on_machine(text: str = "", cores: int = 8, gpus: int = 0, **environment: str) -> Resources:
    return configure(parse(text, environment), lambda: cores, lambda: 1000, lambda: gpus)


# ---- the language ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1", "t", "true", "y", "yes", "TRUE", "Yes"])
def test_true(text: str) -> None:
    assert flags(f"--profile={text}")["profile"] is flags(f"--profile {text}")["profile"] is True


@pytest.mark.parametrize("text", ["0", "f", "false", "n", "no", "False"])
def test_false(text: str) -> None:
    assert (
        flags(f"--auto-config={text}")["auto_config"]
        is flags(f"--auto-config {text}")["auto_config"]
        is False
    )


def test_flag_alone_is_true() -> None:
    found = flags("--profile --show-progress --cpus 3 --consensus")
    assert found["profile"] and found["show_progress"] and found["consensus"] and found["cpus"] == 3


def test_other_words_are_no_booleans() -> None:
    text = "Unknown boolean argument maybe, expected one of '1, t, true, y, yes' or '0, f, false, n, no'"
    with pytest.raises(ArgumentError, match=text):
        flags("--profile=maybe")


def test_equals_sign_or_space() -> None:
    assert flags("--cpus=2 --gpus 10 --fbmem=1024").values == flags("--cpus 2 --gpus=10 --fbmem 1024").values


def test_last_one_counts() -> None:
    assert flags("--profile --profile=f --profile=1").values == flags("--profile=1").values
    assert flags("--cpus 1 --sysmem 5 --cpus=7")["cpus"] == 7


def test_both_spellings() -> None:
    assert flags("--cpu 3 --gpu 2").values == flags("--cpus 3 --gpus 2").values


def test_quoted_values() -> None:
    assert flags("--logdir 'a b' --profile-name=\"c d\"")["logdir"] == "a b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--bogus", "Unknown argument: --bogus$"),
        ("--sys-mem 4", r"Unknown argument: --sys-mem; did you mean --sysmem\?"),
        ("--cpuss=4", r"Unknown argument: --cpuss=4; did you mean --cpus\?"),
        ("--cpus", "Too few arguments for '--cpus'"),
        ("--cpus --gpus 1", "Too few arguments for '--cpus'"),
        ("--cpus two", "--cpus expects an integer, not 'two'"),
        ("--cpus -3", r"Number of CPU cores \(--cpus\) must be >= 0, have -3"),
        ("--gpus=-1", r"Number of GPUs \(--gpus\) must be >= 0, have -1"),
        ("--utility 0", r"Number of utility threads \(--utility\) must be > 0, have 0"),
        ("--sysmem 0", r"Size \(in MiB\) of DRAM Memory \(--sysmem\) must be > 0, have 0"),
        ("'", "LEGATE_CONFIG: No closing quotation"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        flags(text)


def test_defaults() -> None:
    found = flags()
    expected = dict.fromkeys(("cpus", "gpus", "omps", "ompthreads", "sysmem", "numamem", "fbmem"), -1) | {
        "auto_config": True,
        "utility": 2,
        "zcmem": 128,
        "regmem": 0,
        "min_cpu_chunk": 16384,
        "min_gpu_chunk": 1048576,
        "min_omp_chunk": 131072,
        "window_size": 1,
        "field_reuse_fraction": 256,
        "field_reuse_frequency": 32,
        "eager_alloc_percentage": 50,
    }
    assert {key: found[key] for key in expected} == expected
    assert not found.given


def test_defaults_of_tests() -> None:
    found = flags(LEGATE_TEST="1")
    assert [found[f"min_{kind}_chunk"] for kind in ("cpu", "gpu", "omp")] == [2, 2, 2]
    assert flags("--min-cpu-chunk 5", LEGATE_TEST="1")["min_cpu_chunk"] == 5


def test_variables_count_less_than_flags() -> None:
    variables = {"LEGATE_SYSMEM": "77", "LEGATE_MIN_CPU_CHUNK": "9", "LEGATE_SHOW_PROGRESS": "1"}
    found = flags("--sysmem 5", **variables)
    assert (found["sysmem"], found["min_cpu_chunk"], found["show_progress"]) == (5, 9, True)


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        *(
            ("LEGATE_OMP_PROCS", "omps"),
            ("LEGATE_OMP_THREADS", "ompthreads"),
            ("LEGATE_UTILITY_CORES", "utility"),
        ),
        *(("LEGATE_SYSMEM", "sysmem"), ("LEGATE_NUMAMEM", "numamem"), ("LEGATE_FBMEM", "fbmem")),
        *(("LEGATE_ZCMEM", "zcmem"), ("LEGATE_REGMEM", "regmem"), ("LEGATE_WINDOW_SIZE", "window_size")),
        *(("LEGATE_FIELD_REUSE_FRAC", "field_reuse_fraction"), ("LEGATE_MIN_OMP_CHUNK", "min_omp_chunk")),
        ("LEGATE_EAGER_ALLOC_PERCENTAGE", "eager_alloc_percentage"),
    ],
)
def test_variables_of_numbers(variable: str, key: str) -> None:
    assert flags(**{variable: "3"})[key] == 3


def test_wrong_variables() -> None:
    with pytest.raises(ArgumentError, match="LEGATE_SYSMEM: --sysmem expects an integer, not 'much'"):
        flags(LEGATE_SYSMEM="much")
    with pytest.raises(
        ArgumentError, match='LEGATE_SHOW_CONFIG: Cannot convert \'yes\' to bool, use "0" or "1"'
    ):
        flags(LEGATE_SHOW_CONFIG="yes")


def test_lower_runtimes_count_least() -> None:
    lower = {
        "LEGION_DEFAULT_ARGS": "-ll:cputsc -ll:cpu 3 -lg:window 1024",
        "REALM_DEFAULT_ARGS": "-ll:csize 55",
    }
    assert (flags(**lower)["cpus"], flags(**lower)["sysmem"]) == (3, 55)
    assert flags("--cpus 4", **lower)["cpus"] == 4
    assert flags(**lower, LEGATE_SYSMEM="66")["sysmem"] == 66


def test_logging_variables() -> None:
    assert flags("--logging a=info", LEGATE_LOG_MAPPING="1")["logging"] == "a=info,legate.mapper=info"
    assert flags(LEGATE_LOG_PARTITIONING="1")["logging"] == "legate.partitioner=debug"


def test_usage_names_all_flags() -> None:
    text = usage()
    assert text.startswith("Usage: LEGATE_CONFIG can contain:")
    assert all((flag.name in text) != flag.hidden for flag in FLAGS.values())
    assert max(map(len, text.splitlines())) <= 80


# ---- automatic configuration -------------------------------------------------------------------------------------------


def test_whole_machine() -> None:
    r = on_machine()
    assert (r.cpus, r.gpus, r.omps, r.ompthreads, r.sysmem, r.numamem, r.threads) == (8, 0, 0, 0, 800, 0, 8)


def test_without_automatic_configuration() -> None:
    r = on_machine("--auto-config=0")
    assert (r.cpus, r.gpus, r.omps, r.sysmem, r.threads) == (1, 0, 0, 256, 1)
    assert on_machine("--auto-config=0 --cpus 3").threads == 3
    assert on_machine(LEGATE_AUTO_CONFIG="0").cpus == 1


@pytest.mark.parametrize("cpus", [1, 4, 100])
def test_processors_asked_for(cpus: int) -> None:
    r = on_machine(f"--cpus {cpus}")
    assert r.cpus == r.threads == cpus


def test_no_processors_still_leave_a_thread() -> None:
    r = on_machine("--cpus 0")
    assert (r.cpus, r.threads) == (0, 1)


def test_openmp_groups_share_what_is_left() -> None:
    r = on_machine("--omps 2")
    assert (r.cpus, r.omps, r.ompthreads, r.threads) == (1, 2, 3, 6)
    assert on_machine("--omps 2 --cpus 4").ompthreads == 2
    assert on_machine("--omps 2 --ompthreads 5").threads == 10
    assert on_machine("--omps 4", cores=1).ompthreads == 1  # few cores are no error
    assert on_machine("--omps 2 --auto-config=0").ompthreads == 1


def test_gpus() -> None:
    r = on_machine(gpus=2)
    assert (r.gpus, r.cpus, r.threads) == (2, 2, 8)
    assert on_machine("--gpus 0", gpus=2).cpus == 8
    assert on_machine("--gpus 1", gpus=2).gpus == 1
    with pytest.raises(AutoConfigurationError, match=r"Cannot use 3 GPUs \(--gpus\): found 2"):
        on_machine("--gpus 3", gpus=2)


def test_memory() -> None:
    r = on_machine("--numamem 10 --fbmem 20 --zcmem 30 --regmem 40")
    assert (r.sysmem, r.numamem, r.fbmem, r.zcmem, r.regmem) == (256, 10, 20, 30, 40)
    assert on_machine("--sysmem 5").sysmem == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--warmup-nccl", "Cannot warmup NCCL, Legate was not configured with NCCL support."),
        ("--io-use-vfd-gds", "Cannot enable HDF5 VFD GDS, Legate was not configured with GDS support."),
    ],
)
def test_what_this_build_cannot_do(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        on_machine(text)


def test_summary() -> None:
    lines = summary(on_machine("--cpus 3 --sysmem 4")).splitlines()
    assert lines[:2] == ["=" * 46, "Legate configuration summary:"] and lines[-1] == "=" * 46
    assert "- cpus = 3" in lines and "- auto-config = true" in lines
    assert f"- sysmem = {4 * MEBIBYTE:,} (4 MiB)" in lines


# ---- what users see ----------------------------------------------------------------------------------------------------


def test_config_object() -> None:
    config = get_legate_runtime().config()
    assert config.auto_config is True and config.profile is False and config.profile_name == "legate"
    assert config.num_omp_threads == 0 and config.field_reuse_frac == 256 and config.field_reuse_freq == 32
    with pytest.raises(AttributeError):
        config.profile = True
    with pytest.raises(ValueError, match="Config objects must not be constructed directly"):
        type(config)()


def test_realm_config() -> None:
    realm = get_legate_runtime().realm_config()
    names = ("cpus", "util", "sysmem", "regmem", "gpus", "fbmem", "zcmem", "omps", "ompthreads", "numamem")
    assert realm._fields == names and realm.cpus >= 1


# ---- whole processes ---------------------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]


def run(program: str, config: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {n: v for n, v in os.environ.items() if not n.startswith("LEGATE") and n != "PYTHONHASHSEED"}
    base |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", **environment}
    if config is not None:
        base["LEGATE_CONFIG"] = config
    return subprocess.run(
        [sys.executable, "-c", program], env=base, capture_output=True, text=True, timeout=60, check=False
    )


COUNTS = """
from legate_jit.backends.pool import threads
import cupynumeric as np
x = np.ones(1000)
assert float((x + x).sum()) == 2000
print(threads.get_threads())
from legate.core import get_machine, TaskTarget
print(get_machine().count(TaskTarget.CPU))
"""


def test_cpus_are_threads_and_processors() -> None:
    assert run(COUNTS, "--cpus 3").stdout.split() == ["3", "3"]
    assert run(COUNTS, LEGATE_JIT_THREADS="2").stdout.split() == ["2", "2"]
    assert run(COUNTS, "--cpus 3", LEGATE_JIT_THREADS="2").stdout.split() == ["2", "3"]


@pytest.mark.parametrize("package", ["cupynumeric", "legate.core"])
def test_help(package: str) -> None:
    done = run(f"import {package}; print('unreached')", "--help")
    assert done.returncode == 0 and "unreached" not in done.stdout
    assert done.stdout.startswith("Usage: LEGATE_CONFIG can contain:")


@pytest.mark.parametrize("package", ["cupynumeric", "legate.core"])
def test_wrong_flags_end_the_program(package: str) -> None:
    done = run(f"import {package}; print('unreached')", "--bogus 3")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == (
        "== LEGATE ERROR: Unknown argument: --bogus (LEGATE_CONFIG=--help lists the flags)\n"
    )


def test_show_config() -> None:
    done = run("import legate.core", "--show-config --cpus 3")
    assert "Legate configuration summary:" in done.stdout and "- cpus = 3\n" in done.stdout
    assert done.stdout.count("configuration summary") == 1
    assert "- auto-config = true" in run("import cupynumeric", LEGATE_SHOW_CONFIG="1").stdout


def test_arrays_alone_read_nothing_and_leave_random_numbers_alone() -> None:
    program = """
import random, sys
random.seed(5); expected = random.random(); random.seed(5)
import numpy; numpy.random.seed(7)
import cupynumeric as np
float(np.ones(10).sum())
assert random.random() == expected
assert not {"legate_jit.process.arguments", "legate_jit.process.resources", "legate.core", "cupy"} & set(sys.modules)
random.seed(3)
print("quiet")
"""
    done = run(program)
    assert (done.stdout, done.stderr, done.returncode) == ("quiet\n", "", 0)


def test_the_runtime_makes_random_numbers_the_same_everywhere() -> None:
    program = """
import random, warnings
import numpy as np
import legate.core
assert random.random() == random.Random(1234).random()
assert np.random.rand() == np.random.RandomState(1234).rand()
for seed in (random.seed, np.random.seed):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seed(3)
    assert "Seeding the random number generator with a non-constant value" in str(caught[0].message)
    assert caught[0].filename == "<string>"
assert random.random() == random.Random(3).random()
print("same")
"""
    done = run(program)
    assert (done.stdout, done.stderr) == ("same\n", "")


def test_changing_the_variable_later_changes_nothing() -> None:
    program = """
import os
import cupynumeric
os.environ["LEGATE_CONFIG"] = "--cpus 9"
from legate.core import get_machine, TaskTarget
print(get_machine().count(TaskTarget.CPU))
"""
    assert run(program, "--cpus 2").stdout == "2\n"


# ---- the end -----------------------------------------------------------------------------------------------------------


def test_callbacks_run_last_one_first_and_may_add_others() -> None:
    program = """
from legate.core import get_legate_runtime
runtime = get_legate_runtime()
runtime.add_shutdown_callback(lambda: print("first"))
def second():
    print("second")
    runtime.add_shutdown_callback(lambda: print("third"))
runtime.add_shutdown_callback(second)
print("end")
"""
    assert run(program).stdout.split() == ["end", "second", "third", "first"]


def test_callbacks_do_not_run_after_a_crash() -> None:
    program = """
from legate.core import get_legate_runtime
get_legate_runtime().add_shutdown_callback(lambda: print("callback"))
raise ZeroDivisionError
"""
    done = run(program)
    assert done.stdout == "" and done.returncode == 1 and "ZeroDivisionError" in done.stderr


def test_callbacks_run_once() -> None:
    program = """
from legate.core import get_legate_runtime
get_legate_runtime().add_shutdown_callback(lambda: print("callback"))
get_legate_runtime().finish()
print("end")
"""
    assert run(program).stdout.split() == ["callback", "end"]


def test_callbacks_are_callable() -> None:
    with pytest.raises(TypeError, match="Shutdown callbacks must be callable"):
        get_legate_runtime().add_shutdown_callback(3)


def test_forked_children_leave_the_end_to_their_parent() -> None:
    program = """
import os, sys
from legate.core import get_legate_runtime
get_legate_runtime().add_shutdown_callback(lambda: print("callback", flush=True))
child = os.fork()
if child:
    os.waitpid(child, 0)
"""
    assert run(program).stdout.split() == ["callback"]

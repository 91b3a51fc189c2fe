"""The `legate-jupyter` command: installs a Jupyter kernel that runs under `legate` with the given flags.

Starts nothing; the kernel itself is `legate_jit.job.notebook`. Needs jupyter_client, which the extra `jupyter` brings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from legate_jit.cli import flags
from legate_jit.cli.flags import Config, UsageError

__all__ = ["about", "main", "spec"]

NAME = "Legate_SM_GPU"
#: the variable in which a kernel knows its name
KERNEL = "LEGATE_KERNEL"
_CORES = {
    "cpus": "CPUs to use per rank",
    "gpus": "GPUs to use per rank",
    "omps": "OpenMP groups to use per rank",
    "ompthreads": "Threads per OpenMP group",
    "utility": "Utility processors per rank",
}
_MEMORY = {
    "sysmem": "DRAM memory per rank (in MBs)",
    "numamem": "DRAM memory per NUMA domain per rank (in MBs)",
    "fbmem": "Framebuffer memory per GPU (in MBs)",
    "zcmem": "Zero-copy memory per rank (in MBs)",
    "regmem": "Registered CPU-side pinned memory per rank (in MBs)",
}


def _own(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command's own flags, and those of `legate`."""
    parser = argparse.ArgumentParser(
        prog="legate-jupyter",
        description="Install a Jupyter kernel that runs under legate. Other flags are those of legate, such as --cpus 2 or "
        "--ranks-per-node 2.",
        allow_abbrev=False,
    )
    parser.add_argument("--name", default=NAME, help=f"name of the kernel [default: {NAME}]")
    parser.add_argument("--display-name", help="the name that is shown [default: --name]")
    parser.add_argument("--prefix", help="install below this folder, as into an environment")
    parser.add_argument("--user", action="store_true", help="install for this user (as without --prefix)")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the kernel's specification")
    return parser.parse_known_args(list(words))


def spec(name: str, shown: str, words: Sequence[str], config: Config) -> dict[str, Any]:
    """What Jupyter has to know of a kernel that runs under `legate` with these words."""
    command = [
        sys.executable,
        "-m",
        "legate_jit",
        *words,
        "-m",
        "legate_jit.job.notebook",
        "-f",
        "{connection_file}",
    ]
    keys = (*_CORES, *_MEMORY)
    about = {"nodes": config.nodes, **{key: config.runtime.get(key) for key in keys}}
    return {
        "argv": command,
        "display_name": shown,
        "language": "python",
        "interrupt_mode": "message",
        "env": {KERNEL: name},
        "metadata": {"debugger": False, "legate": about},
    }


def _install(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Install a kernel; what to say of it. UsageError if it is not possible."""
    own, rest = _own(words)
    config = flags.parse(rest, environment, "legate-jupyter")
    if not config.interactive:
        raise UsageError(f"{' '.join(config.program)!r}: a kernel runs cells, and no program")
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError:
        raise UsageError("there is no jupyter_client: pip install 'legate-jit[jupyter]'", 1) from None
    shown = own.display_name or own.name
    manager: Any = KernelSpecManager()
    kernel = spec(own.name, shown, rest, config)
    if own.verbose:
        print(json.dumps(kernel, indent=1))
    present = own.name.lower() in manager.find_kernel_specs()
    if own.prefix:
        present = (Path(own.prefix) / "share/jupyter/kernels" / own.name.lower()).exists()
    if present:
        raise UsageError(f"there is a Jupyter kernel spec {own.name} already", 1)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernel.json").write_text(json.dumps(kernel, indent=1), encoding="utf-8")
        manager.install_kernel_spec(folder, own.name, user=not own.prefix, prefix=own.prefix)
    return f"Jupyter kernel spec {own.name} ({shown}) has been installed"


def about() -> str:
    """What the kernel that runs this was configured with."""
    name = os.environ.get(KERNEL, "")
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return "This is no kernel of legate-jupyter"
    manager: Any = KernelSpecManager()
    try:
        known: dict[str, Any] = manager.get_kernel_spec(name).metadata["legate"]
    except (NoSuchKernel, KeyError):
        return "This is no kernel of legate-jupyter"
    lines = [f"Kernel {name!r} configured for {known['nodes']} node(s)"]
    for title, words in (("Cores:", _CORES), ("Memory:", _MEMORY)):
        width = max(map(len, words.values()))
        lines += ["", title, *(f"  {text:<{width}} : {known[key]}" for key, text in words.items())]
    return "\n".join(lines)


def main() -> None:
    """Install the kernel that the command line asks for."""
    try:
        print(_install(sys.argv[1:], os.environ))
    except UsageError as error:
        sys.stderr.write(f"legate-jupyter: {error}\n")
        raise SystemExit(error.code) from None

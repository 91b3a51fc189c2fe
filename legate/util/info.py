"""What a program runs on: versions, packages, the system, the machine. For bug reports and headers of benchmark logs.

All values are strings (or nested mappings of them). Only `machine_info` starts the runtime.
"""

from __future__ import annotations

import importlib.metadata as importlib_metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from legate import install_info
from legate.util.has_started import runtime_has_started

__all__ = [
    "build_info",
    "conda_package_dists",
    "info",
    "lines",
    "machine_info",
    "package_dists",
    "package_versions",
    "print_build_info",
    "print_conda_package_details",
    "print_package_details",
    "print_package_versions",
    "print_system_info",
    "system_info",
]

FAILED_TO_DETECT = "(failed to detect)"
NO_CONDA_METADATA = "(no conda metadata)"
NOT_STARTED = "(runtime not started)"


def build_info() -> dict[str, str]:
    """How the package was built."""
    return {
        "build_type": install_info.build_type,
        "use_openmp": str(install_info.use_openmp),
        "use_cuda": str(install_info.use_cuda),
        "networks": ",".join(install_info.networks),
        "conduit": install_info.conduit,
        "configure_options": install_info.configure_options,
    }


# ---- the system --------------------------------------------------------------------------------------------------------


def _nvidia_smi(*options: str) -> str:
    """What nvidia-smi prints, or why it does not."""
    if shutil.which("nvidia-smi") is None:
        return "(nvidia-smi missing)"
    try:
        done = subprocess.run(
            ["nvidia-smi", *options], capture_output=True, text=True, check=True, timeout=30
        )
    except (subprocess.SubprocessError, OSError):
        return FAILED_TO_DETECT
    return done.stdout.strip() or FAILED_TO_DETECT


def _devices() -> dict[str, str] | str:
    text = _nvidia_smi("-L")
    found = re.findall(r"^(GPU \d+): (.*?)(?: \(UUID: .*\))?$", text, re.MULTILINE)
    return dict(found) or text


def system_info() -> dict[str, Any]:
    """Python, the platform, and its GPUs."""
    return {
        "Python": sys.version.splitlines()[0],
        "Platform": platform.platform(),
        "GPU driver": _nvidia_smi("--query-gpu=driver_version", "--format=csv,noheader", "--id=0"),
        "GPU devices": _devices(),
    }


# ---- packages ----------------------------------------------------------------------------------------------------------


def _version(module_name: str) -> str:
    try:
        return str(import_module(module_name).__version__)
    except ModuleNotFoundError:
        return FAILED_TO_DETECT
    except ImportError as error:
        return f"(ImportError: {re.sub(r' [(].*[)]', '', str(error))})"
    except Exception as error:
        return f"(Exception on import: {error})"


def package_versions() -> dict[str, str]:
    """Versions of the packages that matter here."""
    names = ("legate_jit", "legate", "cupynumeric", "numpy", "scipy", "numba", "llvmlite")
    return {"legion": install_info.legion_version or FAILED_TO_DETECT} | {n: _version(n) for n in names}


def _location(module_name: str) -> str | None:
    """The folder (or file) a module would be imported from."""
    spec = find_spec(module_name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return str(next(iter(spec.submodule_search_locations)))
    return spec.origin


def _is_editable(distribution: Any) -> bool:
    text = distribution.read_text("direct_url.json")
    return bool(text) and bool(json.loads(text).get("dir_info", {}).get("editable"))


def _owns(distribution: Any, place: str) -> bool:
    """Whether a distribution installed what lies at `place`."""
    files = distribution.files or ()
    roots = {str(Path(distribution.locate_file(Path(f))).parent) for f in files}
    return place in roots or any(root.startswith(place + os.sep) for root in roots)


def _distribution(module_name: str) -> str:
    """The distribution that provides a module: its name, version, installer and place."""
    place = _location(module_name)
    names = importlib_metadata.packages_distributions().get(module_name, ())
    for name in names if place else ():
        distribution: Any = importlib_metadata.distribution(name)
        head = f"{distribution.name} {distribution.version}"
        if _is_editable(distribution):
            return f"{head} (editable, path: {place})"
        if _owns(distribution, str(place)):
            installer = (distribution.read_text("INSTALLER") or "unknown").strip()
            return f"{head} (installer: {installer}, path: {place})"
    return f"{FAILED_TO_DETECT} (path: {place})" if place and names else FAILED_TO_DETECT


@cache
def _package_dists() -> dict[str, str]:
    return {"legate": _distribution("legate"), "cupynumeric": _distribution("cupynumeric")}


def package_dists() -> dict[str, str]:
    """Where the packages come from."""
    return {"cuda-version": conda_package_dists()["cuda-version"]} | _package_dists()


_CONDA_PACKAGES = ("cuda-version", "legate", "cupynumeric")


@cache
def _conda_package_dists() -> dict[str, str]:
    folder = Path(sys.prefix) / "conda-meta"
    if not folder.is_dir():
        return dict.fromkeys(_CONDA_PACKAGES, NO_CONDA_METADATA)
    found = dict.fromkeys(_CONDA_PACKAGES, FAILED_TO_DETECT)
    for name in _CONDA_PACKAGES:
        for file in sorted(folder.glob(f"{name}-*.json")):
            facts = json.loads(file.read_text(encoding="utf-8"))
            if facts.get("name") == name:
                found[name] = f"{name}-{facts['version']}-{facts['build']} ({facts['channel']})"
    return found


def conda_package_dists() -> dict[str, str]:
    """Conda packages of the active environment."""
    return {"prefix": sys.prefix} | _conda_package_dists()


# ---- the runtime -------------------------------------------------------------------------------------------------------


def machine_info(start_runtime: bool = True) -> dict[str, str]:
    """The machine of the current scope. `start_runtime`: whether the runtime may be started to find out."""
    if not start_runtime and not runtime_has_started():
        return dict.fromkeys(("Preferred target", "GPU", "OMP", "CPU"), NOT_STARTED)
    from legate.core import TaskTarget, get_machine

    machine = get_machine()
    return {"Preferred target": machine.preferred_target.name} | {
        target.name: str(machine.get_processor_range(target)) for target in TaskTarget
    }


def info(start_runtime: bool = True) -> dict[str, Any]:
    """Everything about the running program, as nested mappings of strings."""
    return {
        "Program": " ".join(sys.argv),
        "Legate runtime configuration": os.getenv("LEGATE_CONFIG", "None"),
        "Machine": machine_info(start_runtime),
        "System info": system_info(),
        "Package versions": package_versions(),
        "Package details": package_dists(),
        "Legate build configuration": build_info(),
    }


# ---- printing ----------------------------------------------------------------------------------------------------------


def lines(values: Mapping[str, Any], indent: int = 0) -> list[str]:
    """Nested mappings as text, one entry per line, colons aligned."""
    width = max(len(str(key)) for key in values) + 1
    out = []
    for key, value in values.items():
        head = f"{' ' * indent}{key!s:<{width}}:"
        if isinstance(value, Mapping):
            out += [head, *lines(value, indent + 2)]
        else:
            out.append(f"{head}  {value}")
    return out


def _print(title: str, values: Mapping[str, Any]) -> None:
    print("\n".join([f"{title}:", *lines(values, 2)]))


def print_system_info() -> None:
    """Print `system_info`."""
    _print("System info", system_info())


def print_package_versions() -> None:
    """Print `package_versions`."""
    _print("Package versions", package_versions())


def print_package_details() -> None:
    """Print `package_dists`."""
    _print("Package details", package_dists())


def print_conda_package_details() -> None:
    """Print `conda_package_dists`."""
    found = conda_package_dists()
    if NO_CONDA_METADATA in found.values():
        found = {"prefix": found["prefix"], "status": NO_CONDA_METADATA}
    _print("Conda package details", found)


def print_build_info() -> None:
    """Print `build_info`."""
    _print("Legate build configuration", build_info())

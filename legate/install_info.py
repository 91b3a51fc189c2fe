"""How this package was built, for programs that ask. It is pure Python: nothing was configured."""

from __future__ import annotations

__all__ = [
    "build_type",
    "conduit",
    "configure_options",
    "legion_git_branch",
    "legion_version",
    "max_dim",
    "networks",
    "use_cuda",
    "use_openmp",
]

build_type: str = "Release"
#: whether kernels can run on GPUs
use_cuda: bool = False
#: whether groups of OpenMP threads are found automatically
use_openmp: bool = False
#: how processes can talk to each other
networks: list[str] = []
conduit: str = ""
configure_options: str = ""
max_dim: int = 6
#: the runtime below upstream's; there is none here
legion_version: str = ""
legion_git_branch: str = ""

"""A Jupyter kernel of several ranks: rank 0 is the kernel, the others run the same cells.

`legate-jupyter` installs kernels that start it: `python -m legate_jit.job.notebook -f FILE`.
Knows IPython's kernel and `session`; nothing of launchers.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

if __name__ == "__main__":
    os.environ.setdefault("LEGATE_LIMIT_STDOUT", "1")  # before the guard looks

from legate_jit import runtime
from legate_jit.job.session import Session

__all__ = ["main"]


def _computed(error: BaseException | None, shell: Any) -> BaseException | None:
    """Compute what a cell has recorded: what is wrong is told of the cell that it is in."""
    try:
        runtime.flush()
    except BaseException as caught:
        shell.showtraceback()
        return error or caught
    return error


class _Kernel:
    """Rank 0: what IPython tells of cells goes to the other ranks."""

    def __init__(self, session: Session) -> None:
        from ipykernel.kernelapp import IPKernelApp

        self._session = session
        self._running = False
        app: Any = IPKernelApp
        self._app: Any = app.instance()
        self._app.initialize(sys.argv[1:])
        self._shell: Any = self._app.shell
        self._shell.events.register("pre_run_cell", self._begin)
        self._shell.events.register("post_run_cell", self._end)

    def run(self) -> None:
        """Until the kernel is shut down."""
        self._app.start()
        self._session.shared(None)

    def _begin(self, info: Any) -> None:
        self._session.shared(info.raw_cell)
        self._session.begin(f"cell {self._shell.execution_count}")
        self._running = True
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: Any) -> None:
        """Stop the cell where all ranks are next, at the same place on each."""
        self._session.guard.interrupted = True

    def _end(self, result: Any) -> None:
        if self._running:
            self._running = False
            self._session.end(_computed(result.error_in_exec or result.error_before_exec, self._shell))


def _follow(session: Session) -> None:
    """Another rank: the same cells, in a shell without a kernel."""
    from IPython.core.interactiveshell import InteractiveShell

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    shell: Any = InteractiveShell.instance()
    shell.ask_exit = lambda: None  # the kernel decides
    while (cell := session.shared(None)) is not None:
        session.begin(f"cell {shell.execution_count}")
        result = shell.run_cell(cell, store_history=True)
        session.end(_computed(result.error_in_exec or result.error_before_exec, shell))


def main() -> None:
    """The kernel's process of this rank."""
    if runtime.world is None:
        from ipykernel.kernelapp import launch_new_instance

        launch_new_instance()
        return
    session = Session(runtime.watching)
    if session.comm.rank == 0:
        _Kernel(session).run()
    else:
        _follow(session)


if __name__ == "__main__":
    from legate_jit.job import notebook

    notebook.main()

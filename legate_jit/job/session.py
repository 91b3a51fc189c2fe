"""A session of several ranks: what is typed on rank 0 runs on all of them, and how it ended is compared.

What the console and the notebook have in common. Knows the guard and the ranks' communication; nothing of who types.
"""

from __future__ import annotations

import sys
import time
import traceback
from typing import Any, NoReturn

__all__ = ["INPUT", "Session"]

#: how names of pieces of source begin that are the same on all ranks
INPUT = "<input "
#: seconds that a rank without an error waits for one that has one to end the job
_SECONDS_TO_END = 30.0


class Session:
    """One rank's end of a session."""

    def __init__(self, guard: Any) -> None:
        self.guard, self.comm = guard, guard.comm

    def shared(self, item: Any) -> Any:
        """What rank 0 has. The others may have to wait for somebody who thinks."""
        self.guard.patient, self.comm.deadline = True, float("inf")
        try:
            return self.comm.bcast(item)
        finally:
            self.guard.patient, self.comm.deadline = False, None

    def begin(self, name: str) -> None:
        """A piece of source is about to be run; name: what it is called where no line of it is being run."""
        self.guard.session = name

    def end(self, error: BaseException | None) -> BaseException | None:
        """It has run, on every rank. The error that it ended with on all of them alike; the job ends if they differ."""
        try:
            self.guard.statement("the end" if error is None else type(error).__name__)
        except KeyboardInterrupt as caught:
            error = error or caught
        endings = self.comm.allgather_object(_ending(error))
        if len(set(endings)) > 1:
            self._fail(error)
        self.guard.session = ""
        if error.__class__.__name__ == "DivergenceError":
            self.guard.fail_with(error)
        if error is not None and not isinstance(error, SystemExit):
            sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
        return error

    def _fail(self, error: BaseException | None) -> NoReturn:
        """Not all ranks ended alike: those that have an error end the job."""
        if error is None:
            time.sleep(_SECONDS_TO_END)
            raise SystemExit(1)
        self.guard.fail_with(error)
        raise AssertionError("the job has ended")


def _ending(error: BaseException | None) -> Any:
    """How a piece of source ended, as far as it must be the same on all ranks: what was raised, and where."""
    if error is None:
        return None
    lines = tuple(
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename.startswith(INPUT)
    )
    return type(error).__qualname__, lines

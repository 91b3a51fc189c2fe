"""Ranks as processes of MPI. The only module that imports mpi4py, and only programs of several ranks import it.

Arrays travel as bytes of their own memory, by non-blocking and persistent messages; nothing is pickled but small objects.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from legate_jit.comm import Comm, Request

__all__ = ["MpiComm"]


class MpiComm(Comm):
    """A process of MPI_COMM_WORLD, or of another communicator; duplicated: the program's own messages do not meet ours."""

    def __init__(self, communicator: Any = None) -> None:
        self.mpi = (MPI.COMM_WORLD if communicator is None else communicator).Dup()
        super().__init__(self.mpi.Get_rank(), self.mpi.Get_size())
        limit = self.mpi.Get_attr(MPI.TAG_UB)
        self.last_tag = min(int(limit), (1 << 30) - 1) if limit else (1 << 15) - 1

    def start_send(self, memory: np.ndarray, peer: int, tag: int) -> Request:
        """MPI_Isend."""
        request: Request = self.mpi.Isend([memory, MPI.BYTE], peer, tag)
        return request

    def start_receive(self, memory: np.ndarray, peer: int, tag: int) -> Request:
        """MPI_Irecv."""
        request: Request = self.mpi.Irecv([memory, MPI.BYTE], peer, tag)
        return request

    def prepare_send(self, memory: np.ndarray, peer: int, tag: int) -> Any:
        """MPI_Send_init."""
        return self.mpi.Send_init([memory, MPI.BYTE], peer, tag)

    def prepare_receive(self, memory: np.ndarray, peer: int, tag: int) -> Any:
        """MPI_Recv_init."""
        return self.mpi.Recv_init([memory, MPI.BYTE], peer, tag)

    def begin(self, message: Any) -> Request:
        """MPI_Start."""
        message.Start()
        request: Request = message
        return request

    def forget(self, message: Any) -> None:
        """MPI_Request_free."""
        if not MPI.Is_finalized():
            message.Free()

    def abort(self, code: int) -> None:
        """MPI_Abort of all processes. May return before they have ended, this one included."""
        MPI.COMM_WORLD.Abort(code)

"""Ranks as processes of MPI. The only module that imports mpi4py, and only programs of several ranks import it.

Arrays travel as bytes of their own memory, by non-blocking and persistent messages; nothing is pickled but small objects. Small
messages between ranks of a node may travel through memory that they share (`shared`).
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np
from mpi4py import MPI

from legate_jit.comm.base import AGREE, Comm, Request
from legate_jit.comm.shared import Expected, Node, Sent

__all__ = ["MpiComm"]

#: agreements by messages of MPI, before they travel through shared memory: programs that need few do not load a compiler for them
_FEW = 20
#: files of MPICH's that ranks of a node share
_NAMED = "/dev/shm/mpich_shm_"


def _forget_names() -> None:
    """Take the name from the memory that MPICH shares between the ranks of a node, which all of them have by now: jobs that are
    killed would leave it, and the memory, in /dev/shm. What this process has mapped is no other job's."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            mapped = {line.rstrip("\n").partition(_NAMED)[2] for line in file if _NAMED in line}
    except OSError:
        return
    for name in mapped:
        if name and " " not in name:  # not "... (deleted)"
            with contextlib.suppress(OSError):  # another rank was first
                os.unlink(_NAMED + name)


class MpiComm(Comm):
    """A process of MPI_COMM_WORLD, or of another communicator; duplicated: the program's own messages do not meet ours."""

    def __init__(self, communicator: Any = None) -> None:
        self.mpi = (MPI.COMM_WORLD if communicator is None else communicator).Dup()
        super().__init__(self.mpi.Get_rank(), self.mpi.Get_size())
        limit = self.mpi.Get_attr(MPI.TAG_UB)
        self.last_tag = min(int(limit), (1 << 30) - 1) if limit else (1 << 15) - 1
        self._agreements = 0

    def share(self, limit: int) -> Node:
        """Send prepared messages of at most so many bytes to ranks of this node through shared memory from now on. Collective;
        before any message is prepared."""
        together = self.mpi.Split_type(MPI.COMM_TYPE_SHARED)
        node = self.node = Node(self, together.allgather, limit)
        _forget_names()
        together.Free()
        return node

    def start_send(self, memory: np.ndarray, peer: int, tag: int) -> Request:
        """MPI_Isend."""
        request: Request = self.mpi.Isend([memory, MPI.BYTE], peer, tag)
        return request

    def start_receive(self, memory: np.ndarray, peer: int, tag: int) -> Request:
        """MPI_Irecv."""
        request: Request = self.mpi.Irecv([memory, MPI.BYTE], peer, tag)
        return request

    def prepare_send(self, memory: np.ndarray, peer: int, tag: int) -> Any:
        """MPI_Send_init, or a slot in shared memory."""
        node = self.node
        if node is not None and (tag != AGREE or self._agreements > _FEW) and node.takes(memory, peer):
            return node.send(memory, peer, tag)
        return self.mpi.Send_init([memory, MPI.BYTE], peer, tag)

    def prepare_receive(self, memory: np.ndarray, peer: int, tag: int) -> Any:
        """MPI_Recv_init, or a slot in shared memory."""
        node = self.node
        if node is not None and (tag != AGREE or self._agreements > _FEW) and node.takes(memory, peer):
            return node.receive(memory, peer, tag)
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

    def agree(self, *numbers: int) -> bool:
        """As every `Comm`."""
        self._agreements += 1
        if self._agreements == _FEW + 1:
            self.forget_links()
        return super().agree(*numbers)

    def is_tended(self, message: Any) -> bool:
        """What travels by MPI."""
        return not isinstance(message, Sent | Expected)

    def tend(self) -> None:
        """MPI_Test: messages move when MPI is asked for them."""
        for message in self.tended:
            message.Test()

    def abort(self, code: int) -> None:
        """MPI_Abort of all processes. May return before they have ended, this one included."""
        MPI.COMM_WORLD.Abort(code)

"""TCP ports for servers that a test starts later: given to no other test and to no connection.

A port that the kernel names may be given again before the server listens on it: to a connection, or to
a test beside this one. These lie below the kernel's own range, and each process has a block to itself.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
from collections.abc import Iterator

_FIRST, _BLOCK, _BLOCKS = 12_000, 200, 100  # to 32,000; Linux gives connections 32,768 and above

_claims: dict[int, tuple[socket.socket, Iterator[int]]] = {}


def new_port() -> int:
    """A TCP port of this machine on which nobody listens, and which nobody else is given."""
    if os.getpid() not in _claims:  # a forked process has its own, too
        _claims[os.getpid()] = _claim()
    ports = _claims[os.getpid()][1]
    return next(port for port in itertools.islice(ports, _BLOCK) if _is_free(port))


def _claim() -> tuple[socket.socket, Iterator[int]]:
    """A block of ports, for as long as the socket lives: its abstract name ends with this process."""
    for number in range(_BLOCKS):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0gputui-test-ports-{number}")
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            first = _FIRST + number * _BLOCK
            return claim, itertools.cycle(range(first, first + _BLOCK))
    raise RuntimeError("every block of ports is taken")


def _is_free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server binds
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True

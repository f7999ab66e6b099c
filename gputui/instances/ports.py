"""TCP ports of this machine: whether one is free, and who listens there."""

from __future__ import annotations

import contextlib
import errno
import socket
from dataclasses import dataclass

from gputui.errors import GputuiError
from gputui.text import clean_line


@dataclass(frozen=True, slots=True)
class Listener:
    """The process that listens on a port. ``name`` is cleaned."""

    pid: int
    name: str


def is_free(host: str, port: int) -> bool:
    """Whether a server can bind ``host:port``; connections in TIME_WAIT do not count.

    Raises GputuiError where it could not bind for another reason.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise GputuiError(
            f'host "{clean_line(host)}" cannot be resolved', 'Use "127.0.0.1" or "0.0.0.0".'
        ) from error
    family, kind, protocol, _, address = found[0]
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise GputuiError(
            f"{clean_line(host)}:{port} cannot be used: {error.strerror}", _hint(error, port)
        ) from error
    return True


def answers(host: str, port: int) -> bool:
    """Whether anybody accepts connections there; a look that costs some 50 µs on this machine."""
    try:
        socket.create_connection((host, port), timeout=0.05).close()
    except (OSError, UnicodeError):
        return False
    return True


def listener(port: int) -> Listener | None:
    """Who listens on a port; None where nobody does or another user's process hides it."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            if connection.laddr.port == port and connection.pid:
                return Listener(connection.pid, _process_name(connection.pid))
    return None


def _process_name(pid: int) -> str:
    import psutil

    with contextlib.suppress(psutil.Error):
        return clean_line(psutil.Process(pid).name(), 60)
    return "unknown"


def _hint(error: OSError, port: int) -> str:
    if error.errno in (errno.EACCES, errno.EPERM) and port < 1024:
        return "Ports below 1024 need root; use a higher one."
    if error.errno == errno.EADDRNOTAVAIL:
        return 'No network interface has this address; use "127.0.0.1" or "0.0.0.0".'
    return ""

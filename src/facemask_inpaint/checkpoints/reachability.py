"""Telling a machine without a network from a server in trouble: only the latter is worth a wait."""

from __future__ import annotations

import errno
import socket

from facemask_inpaint.errors import WeightsNotFoundError

_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}


class NoNetworkError(WeightsNotFoundError):
    """A host has no address here, or nothing leads to it."""


def why_unreachable(error: BaseException) -> str | None:
    """Why no network leads to a host; ``None`` where a failure is of another kind.

    Clients wrap what the system said, each in its own way, so everything behind ``error`` is
    looked at.
    """
    pending, seen = [error], set()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, socket.gaierror) or (isinstance(one, OSError) and one.errno in _NO_WAY):
            return one.strerror or str(one)
        inner = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        pending += [part for part in inner if isinstance(part, BaseException)]
    return None

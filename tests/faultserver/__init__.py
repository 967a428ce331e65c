"""
A server of faults: plain sockets, a thread for each connection, one scenario a function.

``python -m tests.faultserver`` runs it by hand; :mod:`tests.faultserver.catalog` says what it can do.
"""

from __future__ import annotations

from .server import FaultServer, Peer, Request, Scenario

__all__ = ["FaultServer", "Peer", "Request", "Scenario"]

"""A listener for few clients on a network that is not to be trusted: bounded in connections, and in time.

Standard library only.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_CONNECTIONS = 32
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_logger = logging.getLogger(__name__)


class Listener(ThreadingHTTPServer):
    """Serves on its own threads until ``shutdown``. Raises ``OSError`` when the address cannot be had."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * MAX_CONNECTIONS
    allow_reuse_address = os.name != "nt"  # there it would let another program take the address over

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the network for this machine's name, which may take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # pyright: ignore[reportAttributeAccessIssue]

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.settimeout(1.0)
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _logger.info("connection of %s ended early", client_address[0], exc_info=True)


class Paced(io.RawIOBase):
    """Reads a socket up to a moment, however slowly the bytes drip."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.end_s = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self.end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the request came too slowly")
        self._connection.settimeout(left_s)
        return self._connection.recv_into(buffer)

"""Messages between a comparison and its contenders: a JSON header and a payload of bytes."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTHS = struct.Struct("<QQ")


def send(connection: socket.socket, header: dict[str, Any], payload: bytes = b"") -> None:
    text = json.dumps(header).encode()
    connection.sendall(_LENGTHS.pack(len(text), len(payload)) + text + payload)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next message. EOFError when the other side has hung up, TimeoutError after the socket's timeout."""
    header_length, payload_length = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    header = json.loads(_exactly(connection, header_length))
    return header, _exactly(connection, payload_length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    chunks = bytearray()
    while len(chunks) < count:
        try:
            chunk = connection.recv(min(count - len(chunks), 1 << 20))
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            raise EOFError("the other side hung up")
        chunks += chunk
    return bytes(chunks)

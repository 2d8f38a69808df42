"""Client of the bulk scenarios: downloads one path over one kept-alive connection, again and
again, into nothing.

Usage: download.py PORT PATH BYTES SECONDS. Always finishes the download it is in; prints one
line of JSON.
"""

import json
import socket
import sys
import time

BUFFER_BYTES = 1 << 20


def download_once(connection, request, expected_bytes, buffer):
    """Reads one answer to its end; returns False when it is not a 200 with the expected body."""
    connection.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            return False
        head += piece
    fields, _, body = head.partition(b"\r\n\r\n")
    missing = expected_bytes - len(body)
    while missing > 0:
        received = connection.recv_into(buffer, min(BUFFER_BYTES, missing))
        if received == 0:
            return False
        missing -= received
    length = b"content-length: %d" % expected_bytes
    return fields.startswith(b"HTTP/1.1 200 ") and length in fields.lower()


def main():
    port, path, expected_bytes, seconds = (
        int(sys.argv[1]),
        sys.argv[2],
        int(sys.argv[3]),
        float(sys.argv[4]),
    )
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    buffer = memoryview(bytearray(BUFFER_BYTES))
    downloads = errors = 0
    begin = time.monotonic()
    while not errors and (downloads == 0 or time.monotonic() - begin < seconds):
        if download_once(connection, request, expected_bytes, buffer):
            downloads += 1
        else:
            errors += 1
    print(
        json.dumps({"requests": downloads, "seconds": time.monotonic() - begin, "errors": errors})
    )


main()

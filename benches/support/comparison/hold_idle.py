"""Client of the idle-memory scenarios: opens connections, sends one request on each, then leaves
them idle.

Usage: hold_idle.py PORT COUNT. Prints how many got a 200; on the next line of stdin, how many
were closed meanwhile.
"""

import socket
import sys


def open_used(port, request):
    """A connection that had one good exchange, or None."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(request)
    head = connection.recv(4096)
    body_began = b"\r\n\r\n" in head and not head.endswith(b"\r\n\r\n")
    if not body_began:
        head += connection.recv(4096)
    return connection if head.startswith(b"HTTP/1.1 200 ") else None


def is_closed(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def main():
    port, count = int(sys.argv[1]), int(sys.argv[2])
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    held = [
        connection for connection in (open_used(port, request) for _ in range(count)) if connection
    ]
    print(len(held), flush=True)
    sys.stdin.readline()
    print(sum(is_closed(connection) for connection in held), flush=True)


main()

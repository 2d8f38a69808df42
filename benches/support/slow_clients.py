"""Clients that never finish to ask: each sends the beginning of a request, then a field now and then.

Usage: slow_clients.py COUNT SECONDS SOURCE PORT... Says how many connected; at its end how many were
answered with 408, closed otherwise, and never closed.
"""

import selectors
import socket
import sys
import time

BEGINNING = b"GET / HTTP/1.1\r\nHost: slow\r\n"
FIELD = b"X-Slow: 1\r\n"
PAUSE = 2
# Connections begun before the first of them are waited for.
BURST = 256


def connect(source, port):
    client = socket.socket()
    client.setblocking(False)
    # IP_BIND_ADDRESS_NO_PORT: the port is chosen for the connection.
    client.setsockopt(socket.IPPROTO_IP, 24, 1)
    client.bind((source, 0))
    try:
        client.connect(("127.0.0.1", port))
    except BlockingIOError:
        pass
    return client


def begin(client, selector):
    """Sends the beginning, once connected; whether that went well."""
    client.settimeout(30)
    try:
        client.send(BEGINNING)
    except OSError:
        return False
    client.setblocking(False)
    selector.register(client, selectors.EVENT_READ)
    return True


def main():
    count, seconds, source = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    ports = [int(port) for port in sys.argv[4:]]
    selector = selectors.EpollSelector()
    connecting, connected, answered, closed = [], 0, 0, 0
    for number in range(count):
        connecting.append(connect(source, ports[number % len(ports)]))
        # At once: who has said nothing when the time for a head is over is closed without a word.
        if len(connecting) == BURST or number == count - 1:
            time.sleep(0.005)
            connected += sum(begin(client, selector) for client in connecting)
            connecting.clear()
    print(f"connected {connected}", flush=True)
    end, next_field = time.monotonic() + seconds, time.monotonic() + PAUSE
    while time.monotonic() < end and selector.get_map():
        for key, _ in selector.select(0.2):
            try:
                told = key.fileobj.recv(1024)
            except OSError:
                told = b""
            answered += told.startswith(b"HTTP/1.1 408")
            closed += not told.startswith(b"HTTP/1.1 408")
            selector.unregister(key.fileobj)
            key.fileobj.close()
        if time.monotonic() >= next_field:
            next_field += PAUSE
            for key in list(selector.get_map().values()):
                try:
                    key.fileobj.send(FIELD)
                except OSError:
                    pass
    left = len(selector.get_map())
    print(f"answered {answered} closed {closed} left {left}", flush=True)


main()

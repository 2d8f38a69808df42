"""Runs weir in a network of its own with ten ports and two addresses for its connections to a
backend, opens more connections than that, and says what became of them."""

import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

PORTS = 10
WANTED = 25

CONFIG = """
workers = 1
[[listener]]
name = "relay"
address = "127.0.0.1:8000"
protocol = "tcp"
group = "app"
[[group]]
name = "app"
backends = ["127.0.0.1:9000"]
source = ["127.0.0.2", "127.0.0.3"]
"""


def serve(listener):
    while True:
        connection, peer = listener.accept()
        connection.sendall(peer[0].encode())
        held.append(connection)


held = []
range_file = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
range_file.write_text(f"40000 {40000 + PORTS - 1}\n")
listener = socket.create_server(("127.0.0.1", 9000), backlog=100)
threading.Thread(target=serve, args=(listener,), daemon=True).start()

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "weir.toml"
    path.write_text(CONFIG)
    log = open(pathlib.Path(folder) / "log", "w")
    weir = subprocess.Popen([sys.argv[1], "run", "-c", path], stdout=log, stderr=log)
    try:
        served, refused, open_ones = [], 0, []
        for number in range(WANTED):
            deadline = time.monotonic() + 30
            while True:
                client = socket.socket()
                client.settimeout(30)
                # Ports of clients are not of the range, so that only weir's run out.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind(("127.0.0.1", 50000 + number))
                try:
                    client.connect(("127.0.0.1", 8000))
                    break
                except ConnectionResetError:
                    break  # Taken and refused before `connect` returned; reading tells the same.
                except ConnectionRefusedError:
                    client.close()
                    if time.monotonic() > deadline:
                        sys.exit("weir does not listen")
                    time.sleep(0.05)
            try:
                told = client.recv(100)
            except ConnectionResetError:
                told = b""
            if told:
                served.append(told)
                open_ones.append(client)
            else:
                refused += 1
        print(f"{len(served)} served from {len(set(served))} addresses, {refused} refused")
    finally:
        weir.kill()
        weir.wait()

"""The one backend: nginx on the load core, with answers of 65 bytes, 10 KB, 1 MB and 100 MB."""

from .contestants import BACKEND_PORT, fill_template
from .host import LOAD_CORE

SMALL_BODY = "weir bench backend: sixty-five bytes of answer, no more, no less."
BODY_BYTES = {"/": len(SMALL_BODY), "/10k": 10_000, "/1m": 1_000_000, "/100m": 100_000_000}


def start_backend(stage, nginx, descriptors):
    write_bodies(stage.workdir / "bodies")
    config = fill_template(
        "backend.conf",
        stage.workdir,
        port=BACKEND_PORT,
        descriptors=descriptors,
        small_body=SMALL_BODY,
    )
    command = [nginx, "-p", stage.workdir, "-e", "stderr", "-c", config]
    return stage.start_listening(command, LOAD_CORE, stage.workdir / "backend.out", BACKEND_PORT)


def write_bodies(directory):
    directory.mkdir()
    for path, size in BODY_BYTES.items():
        if path != "/":
            (directory / path[1:]).write_bytes(b"weir" * (size // 4))

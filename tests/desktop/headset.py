"""The headset of walks: Monado's simulated one, whose window shows what each eye sees."""

import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import walking as w

# What is left of Blender's window belongs to the headset.
EYES = {"left": 0.25, "right": 0.75}
MONADO = {
    "SIMULATED_ENABLE": "1",
    "XRT_NO_STDIN": "1",
    "IPC_EXIT_ON_DISCONNECT": "1",
    "XRT_COMPOSITOR_FORCE_XCB": "1",
    "XRT_COMPOSITOR_SCALE_PERCENTAGE": "25",
}


def start_monado() -> Generator[float, None, subprocess.Popen[bytes]]:
    """Start the headset's own program, and wait until it answers."""
    with (w.OUT / "monado.log").open("wb") as log:
        command = ["monado-service"]
        monado = subprocess.Popen(command, env=os.environ | MONADO, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    yield from w.until((Path(os.environ["XDG_RUNTIME_DIR"]) / "monado_comp_ipc").exists, 20.0, "no Monado")
    return monado


def eyes() -> dict[str, dict[str, list[int]]]:
    """For each eye the colour that fills most of it and that of its middle, as R, G, B."""
    width, height = w.ARGS["headset"]
    grab = ["-f", "x11grab", "-video_size", f"{width}x{height}", "-i", os.environ["DISPLAY"], "-frames:v", "1"]
    shape = ["-vf", "scale=64:32:flags=neighbor", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command = ["ffmpeg", "-v", "error", *grab, *shape]
    raw = subprocess.run([*command, "-"], check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
    pixels = [list(raw[i : i + 3]) for i in range(0, len(raw), 3)]
    found = {}
    for eye, middle in EYES.items():
        columns = range(int(64 * middle) - 12, int(64 * middle) + 12)
        inner = [pixels[64 * row + column] for row in range(6, 26) for column in columns]
        centre = [pixels[64 * row + column] for row in range(14, 18) for column in list(columns)[10:14]]
        found[eye] = {"all": median(inner), "middle": median(centre)}
    return found


def median(colours: list[list[int]]) -> list[int]:
    return [sorted(channel)[len(colours) // 2] for channel in zip(*colours, strict=True)]

"""Memory after many fits in a row: ``python benchmarks/memory.py`` prints it.

Thirty fits of two bundled images; what the process holds must not grow with them. Told
twice: with the free blocks that the C library keeps for later, which come and go, and
without them (glibc only).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import sys
from pathlib import Path

import napari_disentangle as nd
from napari_disentangle.samples import data as sample_data

FITS, QUICK_FITS = 30, 1
STEPS = 20
# Fits after which libraries have filled their caches.
WARM_UP = 3


def resident() -> float:
    """Megabytes that this process holds in memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def in_use() -> float:
    """The same after free blocks were given back to the system."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return resident()


def told(held: list[float]) -> str:
    """The first reading after the warm-up, and the last."""
    before = held[min(WARM_UP, len(held)) - 1]
    return f"{before:.0f} MB to {held[-1]:.0f} MB ({held[-1] / before - 1:+.1%})"


def main() -> None:
    """Fit again and again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one fit of two steps")
    quick = parser.parse_args().quick
    images = [
        nd.Field(sample_data.load(name), "YXC", name=name)
        for name in ("blood_1", "blood_2")
    ]
    held, used = [], []
    for seed in range(QUICK_FITS if quick else FITS):
        nd.fit(images, "affine", seed=seed, steps=2 if quick else STEPS)
        gc.collect()
        held.append(resident())
        used.append(in_use())
    sys.stdout.write(
        f"{len(held)} fits, from the third to the last: with free blocks "
        f"{told(held)}, in use {told(used)}\n"
    )


if __name__ == "__main__":
    main()

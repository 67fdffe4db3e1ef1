"""Memory after many fits in a row: ``python benchmarks/memory.py`` prints it.

Thirty fits of two bundled images; what the process holds must not grow with them.
"""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

import napari_disentangle as nd
from napari_disentangle import sample_data

FITS, QUICK_FITS = 30, 3
STEPS = 20
# Fits after which libraries have filled their caches.
WARM_UP = 3


def resident() -> float:
    """Megabytes that this process holds in memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    """Fit again and again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three fits of two steps")
    quick = parser.parse_args().quick
    images = [
        nd.Field(sample_data.load(name), "YXC", name=name)
        for name in ("blood_1", "blood_2")
    ]
    held = []
    for seed in range(QUICK_FITS if quick else FITS):
        nd.fit(images, "affine", seed=seed, steps=2 if quick else STEPS)
        gc.collect()
        held.append(resident())
    before = held[min(WARM_UP, len(held)) - 1]
    sys.stdout.write(
        f"{len(held)} fits: {before:.0f} MB after {WARM_UP}, {held[-1]:.0f} MB at the "
        f"end ({held[-1] / before - 1:+.1%})\n"
    )


if __name__ == "__main__":
    main()

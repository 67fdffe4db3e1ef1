"""A study of 2,000 images: ``python benchmarks/study.py``; ``--quick`` tries it out.

Real images under eight known looks, four kinds of biology mixed in each: how long it
takes beside single images, how much memory and how many open files; whether five kills
in the middle change anything; and how near the truth it comes beside the closed forms.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio.v3 as imageio
import numpy as np
import psutil
import tifffile
from looks import composed, hed
from page import give, section
from report import table
from skimage.color import deltaE_ciede2000, rgb2lab
from sources import BLOOD, SLIDES, SOURCES, VIOLET, reported

import napari_disentangle as nd
from napari_disentangle.audit.mixing import silhouette
from napari_disentangle.audit.separable import separable
from napari_disentangle.compute.device import use_threads
from napari_disentangle.samples import data as sample_data
from napari_disentangle.samples import synthetic
from napari_disentangle.study.ledger import read
from napari_disentangle.study.looks import Looks, Measure, measured, pooled
from napari_disentangle.study.plan import states
from napari_disentangle.study.scan import scan
from napari_disentangle.study.unit import rendered, unit

LOOKS = 8
IMAGES, QUICK_IMAGES = 2000, 16
EDGE, QUICK_EDGE = 256, 96
# Images that are rendered one by one, kills, and every how many is compared.
SINGLE, KILLS, COMPARED = 60, 5, 5
CLOSED = ("balanced", "levels", "mk", "meanstd", "reinhard", "percentile", "macenko")
# As many as there are cores; one where it is only tried.
QUICK = "--quick" in sys.argv
WORKERS = 1 if QUICK else None
# Of the synthetic screens.
WELLS, EFFECT, ROWS = (4, 1.5, 20) if QUICK else (16, 1.5, 100)
MAIN = """
import sys, napari_disentangle as nd
if __name__ == "__main__":
    for event in nd.run_study(nd.Study.load(sys.argv[1])):
        print(event.phase, event.done, flush=True)
"""


@dataclass(frozen=True)
class Watched:
    """What was seen of a run: seconds, memory (MB) by its end, most open files."""

    seconds: float
    memory: Sequence[float]
    files: int


# --- the images -----------------------------------------------------------------------
# Of the study whose results are its images as they came: it is never run.
CAME = "none"


def kinds(quick: bool) -> dict[str, Iterator[np.ndarray]]:
    """Endless images by kind, of groups that no model has learned from."""
    if quick:
        blood = [sample_data.load(name) for name in ("blood_1", "blood_2")]
        tissue = [
            synthetic.render(synthetic.tissue(i, 192), synthetic.VIOLET, 2.0, i)
            for i in range(4)
        ]
        return {"blood": cycle(blood), "tissue": cycle(tissue)}
    known = {source.name: source for source in SOURCES if source.present}
    found = {}
    for name in (BLOOD, VIOLET, SLIDES):
        images = [one() for group in reported(known[name]) for one in group.images[:4]]
        found[name] = cycle(images)
    return found


def made(root: Path, n: int, edge: int, quick: bool) -> None:
    """Images of every kind under every look, and the truth beside them."""
    rng = np.random.default_rng(0)
    looks = [(hed if i % 2 else composed)(rng) for i in range(LOOKS)]
    sources = kinds(quick)
    for i in range(n):
        kind = [*sources][(i // LOOKS) % len(sources)]
        part = crop(next(sources[kind]), edge, rng)
        name = f"{kind.split()[0]}_{i:04}.png"
        batch = root / "raw" / f"scanner{i % LOOKS}"
        truth = root / "truth" / f"scanner{i % LOOKS}"
        batch.mkdir(parents=True, exist_ok=True)
        truth.mkdir(parents=True, exist_ok=True)
        imageio.imwrite(batch / name, looks[i % LOOKS].photograph(part, rng))
        clean = np.clip(np.rint(looks[0].change(part)), 0, 255).astype(np.uint8)
        imageio.imwrite(truth / name, clean)


def crop(image: np.ndarray, edge: int, rng: np.random.Generator) -> np.ndarray:
    """A part of an image, as large as it is at most."""
    y, x = (int(rng.integers(max(1, n - edge + 1))) for n in image.shape[:2])
    return image[y : y + edge, x : x + edge, :3]


def study(root: Path, folder: str, **said: object) -> nd.Study:
    """All images under the look of the first scanner."""
    known = {
        "inputs": [{"folder": "raw"}],
        "labels": {"scanner": r"scanner(\d)"},
        "group": "scanner",
        "reference": {"group": "0"},
        "folder": folder,
        "workers": WORKERS,
    }
    return nd.Study.from_json(known | said).at(root)


# --- speed, memory, kills -------------------------------------------------------------
def started(root: Path, one: nd.Study) -> subprocess.Popen[bytes]:
    """A run in a process of its own, which tells what it has done."""
    one.save(root / "study.yaml")
    (root / "main.py").write_text(MAIN)
    command = [sys.executable, str(root / "main.py"), str(root / "study.yaml")]
    with (root / "log").open("w") as log:
        return subprocess.Popen(command, stdout=log)


def watched(root: Path, one: nd.Study) -> Watched:
    """Run it to its end, and look at it every tenth of a second."""
    begin = time.perf_counter()
    run = started(root, one)
    known, memory, files, rendering = psutil.Process(run.pid), [], 0, False
    while run.poll() is None:
        rendering = rendering or "render" in (root / "log").read_text()
        try:
            family = [known, *known.children(recursive=True)]
            if rendering:
                memory.append(sum(p.memory_full_info().pss for p in family) / 1e6)
            files = max(files, *(p.num_fds() for p in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.1)
    if run.returncode:
        raise SystemExit("the run failed")
    return Watched(time.perf_counter() - begin, memory, files)


def singly(one: nd.Study, n: int) -> float:
    """Seconds of one image, measured and rendered one after the other on one thread."""
    use_threads(1)
    items = scan(one)
    chosen = items[:: max(1, len(items) // n)]
    looks = Looks(one.target)
    looks.load()
    pool = pooled(one, items, looks)
    spent = []
    with TemporaryDirectory() as folder:
        elsewhere = one.model_copy(update={"folder": folder})
        for item in chosen:
            begin = time.perf_counter()
            look = measured(Measure.of(one, item))
            rendered(unit(elsewhere, item, look, pool))
            spent.append(time.perf_counter() - begin)
    return float(np.mean(spent[1:]))


def killed(root: Path, one: nd.Study, kills: int, most: int) -> int:
    """Kill a run at random moments and let it end; returns how often it was killed."""
    rng, n = random.Random(0), 0
    for _ in range(kills):
        run = started(root, one)
        lines = rng.randrange(1, most)
        while run.poll() is None and (root / "log").read_text().count("\n") < lines:
            time.sleep(0.02)
        n += run.poll() is None
        run.send_signal(signal.SIGKILL)
        run.wait()
    for _ in nd.run_study(one):
        pass
    return n


def sums(one: nd.Study) -> dict[tuple[str, str], str]:
    """Checksums of all outputs."""
    return {place: record["checksum"] for place, record in states(one).items()}


def page(one: nd.Study) -> str:
    """The report, but for the name of its folder."""
    return (one.target / "report.html").read_text().replace(one.folder, "")


# --- controls, and what is only the batch -------------------------------------------
def screen(root: Path, seed: int) -> dict[str, object]:
    """Three plates of gains of their own; a treatment makes the signal 1.5-fold."""
    rng = np.random.default_rng(seed)
    folder = root / f"screen{seed}"
    folder.mkdir()
    for plate in range(3):
        gain, offset = float(np.exp(rng.normal(0, 0.4))), rng.uniform(100, 400)
        for well in range(WELLS):
            treated = well % 2
            signal = np.zeros((EDGE, EDGE))
            for y, x in rng.integers(8, EDGE - 8, (60, 2)):
                signal[y - 4 : y + 4, x - 4 : x + 4] = rng.uniform(1000, 3000)
            values = offset + gain * EFFECT**treated * signal
            values += rng.normal(0, 10, values.shape)
            name = f"plate{plate}_{chr(65 + well // 2)}{1 + treated:02}.tif"
            tifffile.imwrite(folder / name, values.clip(0, 65535).astype("uint16"))
    return {
        "inputs": [{"folder": folder.name, "modality": "fluorescence"}],
        "labels": {"plate": r"plate(\d)", "well": r"_([A-P]\d\d)"},
        "group": "plate",
    }


def signals(folder: Path) -> tuple[float, float]:
    """The effect, and the largest by the smallest plate's controls."""
    found: dict[tuple[str, bool], list[float]] = {}
    for path in sorted(folder.rglob("plate*.tif")):
        values = tifffile.imread(path).astype(float)
        level = float(values.mean() - np.median(values))
        found.setdefault((path.name[:6], path.name[8:10] == "02"), []).append(level)
    mean = {key: float(np.mean(one)) for key, one in found.items()}
    controls = [mean[f"plate{i}", False] for i in range(3)]
    effects = [mean[f"plate{i}", True] / mean[f"plate{i}", False] for i in range(3)]
    return float(np.exp(np.mean(np.log(effects)))), max(controls) / min(controls)


def controlled(root: Path, seeds: int) -> str:
    """Effect and levels of controls, by what the look of a plate is taken from."""
    ways = {
        "as they came": None,
        "control wells": {"controls": {"well": ["*01"]}},
        "all wells of a plate": {},
        "every image by itself": {"look": "image"},
    }
    rows = []
    known = {seed: screen(root, seed) for seed in range(seeds)}
    for name, said in ways.items():
        found = []
        for seed, inputs in known.items():
            folder = root / f"screen{seed}"
            if said is not None:
                one = study(root, f"{name} {seed}", **(inputs | said))
                one = one.model_copy(update={"reference": "study"})
                for _ in nd.run_study(one):
                    pass
                folder = one.target
            found.append(signals(folder))
        effect, level = np.mean(found, axis=0)
        spread = np.std(found, axis=0)
        kept = (effect - 1) / (EFFECT - 1)
        rows.append(
            [name, f"{effect:.2f} ± {spread[0]:.2f}", f"{kept:.0%}",
             f"{level:.2f} ± {spread[1]:.2f}"]
        )  # fmt: skip
    head = ("look of a plate from", "treated by control", "effect kept",
            "controls, largest by smallest plate")  # fmt: skip
    return table(head, rows)


def only_the_batch(seeds: int, nulls: int) -> str:
    """What neighbours tell where wells differ and treatments do not."""
    rows = []
    for batch, effect in ((0.0, 0.0), (3.0, 0.0), (6.0, 0.0), (3.0, 4.0)):
        found = [separable(*wells(s, batch, effect, ROWS), permutations=0)
                 for s in range(seeds)]  # fmt: skip
        rows.append(
            [f"{batch:.0f}", f"{effect:.0f}",
             f"{np.mean([one.naive for one in found]):.2f}",
             f"{np.mean([one.accuracy for one in found]):.2f}"]
        )  # fmt: skip
    ps = [separable(*wells(s, 3.0, 0.0, 12)).p for s in range(1000, 1000 + nulls)]
    head = ("difference of wells, noise s.d.", "of treatments", "same neighbours, any "
            "well", "other wells")  # fmt: skip
    called = np.mean(np.array(ps) <= 0.05)
    return (
        table(head, rows)
        + f"\n\nOf {nulls} sets without an effect, {called:.1%} have p <= 0.05."
    )


def wells(
    seed: int, batch: float, effect: float, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of eight wells, four of each treatment, each with an offset."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(8), n)
    label = group % 2
    offset = rng.normal(0, 1, (8, 16)) * batch / 4  # so long in 16 dimensions
    shift = np.eye(16)[0] * effect * label[:, None]
    return rng.normal(0, 1, (len(group), 16)) + offset[group] + shift, label, group


# --- quality --------------------------------------------------------------------------
def colours(paths: Sequence[Path]) -> np.ndarray:
    """Mean and standard deviation of every image in CIELAB, standardised."""
    found = []
    for path in paths:
        lab = rgb2lab(imageio.imread(path))
        found.append([*lab.mean((0, 1)), *lab.std((0, 1))])
    values = np.array(found)
    return (values - values.mean(0)) / values.std(0)


def quality(root: Path, one: nd.Study, every: int) -> list[float]:
    """Mean dE from the truth in other looks, silhouettes by look and by biology."""
    items = scan(one)[::every]
    if one.folder == CAME:
        outputs = [root / item.path for item in items]
    else:
        outputs = [one.target / f"{item.output}_content.png" for item in items]
    truths = [root / "truth" / Path(*Path(item.path).parts[1:]) for item in items]
    moved = [
        float(np.mean(deltaE_ciede2000(*(rgb2lab(imageio.imread(p)) for p in pair))))
        for item, *pair in zip(items, outputs, truths, strict=True)
        if item.group != "0"
    ]
    features = colours(outputs)
    looks = [item.group for item in items]
    biology = [Path(item.path).name.split("_")[0] for item in items]
    spread = float(np.std(moved) / np.sqrt(len(moved)))
    return [
        float(np.mean(moved)),
        spread,
        silhouette(features, looks),
        silhouette(features, biology),
    ]


def compared(root: Path, done: nd.Study, every: int, models: Sequence[str]) -> str:
    """A table of the default beside the closed forms, by the same recipe."""
    rows = [["none", *quality(root, study(root, CAME), every)]]
    rows.append([f"`{done.model}` (default)", *quality(root, done, every)])
    for model in models:
        one = study(root, model, model=model)
        for _ in nd.run_study(one):
            pass
        rows.append([f"`{model}`", *quality(root, one, every)])
    head = ("model", "mean dE", "silhouette by look", "by biology")
    shown = [
        [name, f"{error:.2f} ± {spread:.2f}", f"{look:+.3f}", f"{biology:+.3f}"]
        for name, error, spread, look, biology in rows
    ]
    return table(head, shown)


def speed(watching: Watched, single: float, n: int, cores: int) -> str:
    """What a run of all took."""
    while_at_it = watching.memory[:-20] or watching.memory  # the last ones end
    quarter = max(1, len(while_at_it) // 4)
    first, last = (
        float(np.median(part))
        for part in (while_at_it[:quarter], while_at_it[-quarter:])
    )
    ideal = single * n / cores
    head = ("images", "seconds", "one by one, over the cores", "ratio", "memory of the "
            "first and last quarter, MB", "most open files of a process")  # fmt: skip
    row = [
        str(n),
        f"{watching.seconds:.0f}",
        f"{ideal:.0f}",
        f"{watching.seconds / ideal:.2f}",
        f"{first:.0f}, {last:.0f} ({last / first - 1:+.1%})",
        str(watching.files),
    ]
    return table(head, [row])


def main() -> None:
    """Make the images, run, kill, compare, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    n, edge = (QUICK_IMAGES, QUICK_EDGE) if quick else (IMAGES, EDGE)
    seeds, repeats = (1, 2) if quick else (3, 8)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        made(root, n, edge, quick)
        done = study(root, "first-results")
        watching = watched(root, done)
        single = singly(done, 6 if quick else SINGLE)
        again = study(root, "again-results")
        kills = killed(root, again, 1 if quick else KILLS, n // 3)
        equal = sums(done) == sums(again)
        pages = {page(one) for one in (done, again)}
        twice = len([*read(again.target, "ledger")]) - n
        text = section(
            "python benchmarks/study.py",
            "## A study",
            f"{n} images of {edge} pixels under {LOOKS} known looks (`hed`, or `hed` "
            "before `camera`), each with the same kinds of biology, given the look of "
            f"the first, on {len(os.sched_getaffinity(0))} cores.",
            speed(watching, single, n, len(os.sched_getaffinity(0))),
            f"Killed (signal 9) {kills} times at random moments, and gone on with: "
            f"outputs {'equal' if equal else 'DIFFER'}, report "
            f"{'equal' if len(pages) == 1 else 'DIFFERS'}, {twice} images done twice.",
            f"Every {COMPARED}th image beside its truth: CIEDE2000 of images of the "
            "other looks (mean ± standard error), and silhouettes of means and "
            "deviations in CIELAB.",
            compared(
                root, done, 1 if quick else COMPARED, CLOSED[-1:] if quick else CLOSED
            ),
            f"Control wells: three plates of {WELLS} wells with gains and offsets of "
            f"their own, a treatment of {EFFECT}-fold signal, default model, mean ± "
            f"s.d. of {seeds} screens.",
            controlled(root, seeds),
            "Is it only the batch: balanced accuracy of a treatment, told by 15 "
            f"neighbours (chance 0.50; eight wells of {ROWS} rows, mean of {repeats} "
            "seeds).",
            only_the_batch(repeats, 5 if quick else 200),
        )
    give(text, quick)


if __name__ == "__main__":
    main()

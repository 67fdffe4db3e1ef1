"""Teacher to student: two closed forms that agree teach a network, without labels.

After Croitoru, Bogolin and Leordeanu (ICCV 2017): a weak teacher, a choice of what it
did well, and a small student that generalises. OUR CHOICE: closed forms as teachers,
their agreement instead of a network that grades masks, and random looks under which the
student sees what its teachers saw as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_disentangle.compute.device import loading, one_thread
from napari_disentangle.compute.iterators import finished
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Floats, Mask
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.field import Field
from napari_disentangle.image.tiling import Span, strata
from napari_disentangle.model.base import Weights
from napari_disentangle.model.render import Rendering
from napari_disentangle.objects import closed
from napari_disentangle.objects.finder import STUDENT, Finder, pooled, tensors_of
from napari_disentangle.objects.grey import measuring
from napari_disentangle.objects.student.looks import draw
from napari_disentangle.objects.student.use import view

if TYPE_CHECKING:
    import torch

    from napari_disentangle.objects.student.net import Student

# Edge of tiles in pixels at which finders work, and how many there are at most; edge of
# crops, and how many make a step.
_EDGE, _TILES, _CROP, _BATCH = 256, 120, 96, 8
# Crops of every tile that is looked at: looking takes longer than learning.
_CROPS = 2
# Teachers agree from this intersection over union on; shares of foreground that teach.
_AGREED, _SHARES = 0.6, (0.002, 0.6)
_FEWEST, _RATE, _MOMENTUM = 4, 6e-3, 0.98
# One of so many crops shows nothing but noise.
_EMPTY = 64

STEPS = 600

Lesson = tuple[Floats, Mask]


@dataclass(frozen=True, eq=False)
class Learning:
    """Where learning is.

    Attributes
    ----------
    index, budget
        Steps made, and all there will be; 0 while images are read.
    loss
        Cross-entropy plus Dice loss of the last step.
    tiles, chosen
        Tiles that were read, and those whose teachers agree.
    """

    index: int
    budget: int
    loss: float = np.nan
    tiles: int = 0
    chosen: int = 0
    net: Student | None = field(default=None, repr=False)

    def finder(self) -> Finder | None:
        """What was learned so far, if anything."""
        if self.net is None:
            return None
        card = {"steps": self.index, "tiles": self.chosen}
        return Finder(STUDENT, Weights(tensors_of(self.net), card))


def learning(
    renderings: Sequence[Rendering],
    diameters: Sequence[float],
    seed: int = 0,
    steps: int = STEPS,
    looks: bool = True,
) -> Iterator[Learning]:
    """Learn a finder from images, step by step.

    Parameters
    ----------
    renderings, diameters
        The images or their content, and how large their objects are in pixels.
    seed
        Decides every random choice.
    steps
        Micro-batches.
    looks
        Whether the student sees tiles under random looks.

    Yields
    ------
    Learning
        One per tile that is read, then one per micro-batch.

    Raises
    ------
    DataError
        If teachers agree on too few tiles.
    """
    lessons: list[Lesson] = []
    for read, lesson in enumerate(_lessons(renderings, diameters, seed), start=1):
        lessons += [] if lesson is None else [lesson]
        yield Learning(0, steps, tiles=read, chosen=len(lessons))
    if len(lessons) < _FEWEST:
        raise DataError(
            f"the closed forms agree on {len(lessons)} tiles, and {_FEWEST} are needed "
            "to learn from: add images, or take the finder 'opening'"
        )
    for _ in loading():
        yield Learning(0, steps, tiles=read, chosen=len(lessons))
    course = _Course(lessons, seed, steps, looks)
    for index in range(1, steps + 1):
        with one_thread():
            loss = course.step(index)
        yield Learning(index, steps, loss, read, len(lessons), course.mean)


def _lessons(
    renderings: Sequence[Rendering], diameters: Sequence[float], seed: int
) -> Iterator[Lesson | None]:
    """Tiles with their masks, as many of every image; none where teachers differ."""
    share = max(1, _TILES // len(renderings))
    every = max(1, -(-len(renderings) // _TILES))
    for rendering, diameter in [*zip(renderings, diameters, strict=True)][::every]:
        yield from _of_image(rendering, diameter, share, seed)


def _of_image(
    rendering: Rendering, diameter: float, share: int, seed: int
) -> Iterator[Lesson | None]:
    factor = max(1, round(diameter / closed.WORKING))
    grey = finished(measuring(rendering, seed))
    for lead, y, x in _windows(rendering.field, _EDGE * factor, share, seed):
        _, signal = rendering.read(lead, y, x)
        if min(signal.shape[1:]) >= _CROP * factor and grey.high > grey.low:
            yield _taught(pooled(grey.of(signal.cpu().numpy()), factor))


def _windows(
    image: Field, edge: int, share: int, seed: int
) -> Iterator[tuple[Lead, Span, Span]]:
    """Parts of planes, all of them as large as an edge where the image is."""
    leads = list(image.leads())
    rows, columns = (_spans(n, edge) for n in image.plane_shape)
    for number in strata(len(leads) * len(rows) * len(columns), share, seed):
        place, column = divmod(int(number), len(columns))
        lead, row = divmod(place, len(rows))
        yield leads[lead], rows[row], columns[column]


def _spans(n: int, edge: int) -> list[Span]:
    begins = np.linspace(0, max(0, n - edge), -(-n // edge)).astype(int)
    return [Span(int(begin), int(min(n, begin + edge))) for begin in begins]


def _taught(grey: Floats) -> Lesson | None:
    one, other = (closed.mask(grey, form) for form in closed.TEACHERS)
    agreed = (one & other).sum() >= _AGREED * (one | other).sum()
    least, most = _SHARES
    return (grey, other) if agreed and least < other.mean() < most else None


class _Course:
    """A student that learns, and the moving average of it."""

    def __init__(
        self, lessons: Sequence[Lesson], seed: int, steps: int, looks: bool
    ) -> None:
        import copy

        import torch

        from napari_disentangle.objects.student.net import Student

        self._lessons, self._looks = lessons, looks
        self._rng = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._net = Student()
        self.mean = copy.deepcopy(self._net).eval().requires_grad_(False)
        self._optimiser = torch.optim.Adam(self._net.parameters(), _RATE)
        self._rate = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, _RATE, total_steps=max(steps + 1, 11)
        )

    def step(self, index: int) -> float:
        """Learn from a micro-batch; its loss."""
        import torch
        from torch.nn import functional

        tiles = [self._lesson() for _ in range(_BATCH // _CROPS)]
        crops = [_crop(*tile, self._rng) for tile in tiles for _ in range(_CROPS)]
        both = zip(*crops, strict=True)
        seen, truth = (torch.from_numpy(np.stack(one)) for one in both)
        logit = self._net(seen)
        loss = functional.binary_cross_entropy_with_logits(logit, truth)
        loss = loss + _dice(logit.sigmoid(), truth)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._rate.step()
        self._follow(index)
        return float(loss.detach())

    def _lesson(self) -> Lesson:
        """A tile as the network sees it now (2, h, w), and its mask."""
        if self._rng.integers(_EMPTY) == 0:
            grey, truth = _nothing(self._rng)
        else:
            grey, truth = self._lessons[int(self._rng.integers(len(self._lessons)))]
            if self._looks:
                grey = _again(draw(self._rng).photograph(grey, self._rng))
        return view(grey), truth

    def _follow(self, index: int) -> None:
        import torch

        momentum = min(_MOMENTUM, (1 + index) / (10 + index))
        known = self._net.state_dict()
        with torch.no_grad():
            for name, average in self.mean.state_dict().items():
                if average.is_floating_point():
                    average.lerp_(known[name], 1 - momentum)


def _nothing(rng: np.random.Generator) -> Lesson:
    """Noise, fine or coarse, in which there is nothing."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.normal(0, 1, (2 * _CROP, 2 * _CROP)), rng.uniform(0, 2))
    return _again(noise.astype(np.float32)), np.zeros(noise.shape, bool)


def _again(plane: Floats) -> Floats:
    """Background 0 and objects 1 once more."""
    low, high = closed.limits(closed.plain(plane))
    scaled: Floats = ((plane - low) / max(high - low, 1e-6)).astype(np.float32)
    return scaled


def _crop(seen: Floats, truth: Mask, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A part of a tile and its mask, turned and mirrored at random."""
    y, x = (int(rng.integers(0, n - _CROP + 1)) for n in truth.shape)
    part = (slice(y, y + _CROP), slice(x, x + _CROP))
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    seen, known = seen[:, *part], truth[part].astype(np.float32)
    seen, known = np.rot90(seen, turns, (1, 2)), np.rot90(known, turns)
    if mirrored:
        seen, known = seen[:, ::-1], known[::-1]
    return np.ascontiguousarray(seen), np.ascontiguousarray(known)


def _dice(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    both = 2 * (found * truth).sum() + 1
    return 1 - both / (found.sum() + truth.sum() + 1)

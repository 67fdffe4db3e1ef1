"""Nothing is learned from the held-out scanner, and its figures are right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def mitosis() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import mitosis

        return mitosis


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost more than these small images."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def net(mitosis: ModuleType) -> ModuleType:
    import mitosis_net

    return mitosis_net


@pytest.fixture(scope="module")
def report(mitosis: ModuleType) -> ModuleType:
    return mitosis.mitosis_report


def answers(report: ModuleType, chances: Any, slides: Any, atypical: Any) -> Any:
    return report.Answers("one", "arm", slides, np.array(atypical), np.array([chances]))


@pytest.fixture
def drawn(report: ModuleType) -> Any:
    """Answers about 40 patches of eight slides that are better than chance."""
    rng = np.random.default_rng(0)
    atypical = rng.random(40) < 0.4
    slides = [f"slide {i}" for i in rng.integers(8, size=40)]
    return answers(report, rng.normal(atypical, 1), slides, atypical)


# --- what is learned from -------------------------------------------------------------
@pytest.mark.shared
def test_no_slide_of_the_held_out_scanner_is_trained_on(
    mitosis: ModuleType, shared: Path
) -> None:
    patches = mitosis.histology()
    assert len(mitosis.scanners(patches)) == 3
    for scanner in mitosis.scanners(patches):
        known, new = mitosis.parts(patches, scanner)
        assert len(known) + len(new) == len(patches)
        assert not {p.slide for p in known} & {p.slide for p in new}
        assert {p.scanner for p in new} == {scanner}


@pytest.mark.parametrize("model", ["meanstd", "affine"])
def test_what_is_trained_on_does_not_change_with_the_held_out_scanner(
    mitosis: ModuleType, model: str
) -> None:
    known, new = mitosis.parts(mitosis.drawings(), "pale")
    one, other = (
        list(mitosis.arms(model, known, part, mitosis.QUICK)) for part in (new, known)
    )
    for a, b in zip(one, other, strict=True):
        assert all((x == y).all() for x, y in zip(a.versions, b.versions, strict=True))
        assert a.asked.shape != b.asked.shape


def test_a_model_that_learns_here_knows_only_the_training_slides(
    mitosis: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mitosis, "LEARNING", ("affine",))
    known, new = mitosis.parts(mitosis.drawings(), "pale")
    model = mitosis.fit("affine", known, mitosis.QUICK)
    seen = {image["name"] for group in model.weights.card["images"] for image in group}
    assert seen == {patch.slide for patch in known}
    assert not seen & {patch.slide for patch in new}


def test_versions_and_jitter_change_no_batch(
    mitosis: ModuleType, net: ModuleType
) -> None:
    patches = mitosis.drawings()
    pictures = net.seen([patch.picture for patch in patches], "centre")
    labels, how = mitosis.labels(patches), net.Training(2)

    def weights(versions: Any, **options: Any) -> Any:
        return net.train(versions, labels, how, 0, **options)[0].weight

    alone = weights([pictures])
    assert (alone == weights([pictures] * 3)).all()
    assert (alone != weights([pictures], jitter=True)).any()


# --- figures --------------------------------------------------------------------------
def test_auroc_counts_pairs_in_order(report: ModuleType) -> None:
    atypical = np.array([True, False, True, False])
    assert report.auroc(np.array([0.9, 0.1, 0.5, 0.5]), atypical) == 0.875
    assert report.auroc(np.zeros(4), atypical) == 0.5


def test_a_bootstrap_sample_is_whole_slides(report: ModuleType, drawn: Any) -> None:
    names = sorted(set(drawn.slides))
    rng = np.random.default_rng(3)
    share = np.full(len(names), 1 / len(names))
    times = rng.multinomial(len(names), share, report.RESAMPLES)[0]
    members = [np.flatnonzero(np.array(drawn.slides) == name) for name in names]
    rows = np.concatenate([np.tile(m, n) for m, n in zip(members, times, strict=True)])
    truth = report.auroc(drawn.together[rows], drawn.atypical[rows])
    assert report.resampled(drawn, 3)[0] == pytest.approx(truth)


def test_differences_are_paired_by_slide(report: ModuleType, drawn: Any) -> None:
    same = answers(report, 2 * drawn.together + 1, drawn.slides, drawn.atypical)
    found = report.difference([same], [drawn])
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    turned = answers(report, -drawn.together, drawn.slides, drawn.atypical)
    lost, own = report.difference([turned], [drawn]), report.auroc_of([drawn])
    ends = [1 - 2 * end for end in (own.mean, own.high, own.low)]
    assert [lost.mean, lost.low, lost.high] == pytest.approx(ends)


def test_wins_and_losses_are_named(report: ModuleType) -> None:
    slides = [f"slide {i // 4}" for i in range(24)]
    odd = np.arange(24) % 2 == 0
    chances = {"better": 1 * odd, "worse": 1 - odd, report.RAW: 0 * odd}
    chances[report.JITTER] = chances[report.RAW]
    cell = {arm: [answers(report, c, slides, odd)] for arm, c in chances.items()}
    won, _, lost = report._verdict({"one": cell}).partition("Below raw")
    assert "Above colour jitter" in lost
    assert "- one: better +0.500 [+0.500, +0.500]" in won
    assert "- one: worse -0.500 [-0.500, -0.500]" in lost
    assert "Against raw, the interval includes 0 in 1 of 3 rows" in lost

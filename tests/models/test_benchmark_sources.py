"""What is learned from or chosen on is never what is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_no_group_is_learned_from_and_reported() -> None:
    from sources import OPEN, SOURCES, learned, reported

    for source in (s for s in (*SOURCES, *OPEN) if s.present):
        names = [{g.name for g in part(source)} for part in (learned, reported)]
        assert not names[0] & names[1], source.name
        assert names[0] | names[1]


def test_a_model_that_is_reported_on_a_part_never_saw_its_sources() -> None:
    from train_zoo import shippable
    from unseen import PARTS

    for part in PARTS:
        known = {source.name for source in shippable(without=part.left_out)}
        assert known
        assert not known & set(part.left_out)
        for source in part.sources:
            own = {g.name for g in source.groups()} if source.present else set()
            assert all(
                source.name in part.left_out or name.split()[0] in part.left_out
                for name in own
            )


def test_the_halves_are_all_open_sources_and_share_none() -> None:
    import open_sources

    first, second = map(set, open_sources.HALVES)
    assert not first & second
    assert first | second == set(open_sources.LICENCES)

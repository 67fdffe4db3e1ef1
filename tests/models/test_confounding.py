"""Guards of a design: what is only the batch is not read as biology."""

from __future__ import annotations

import numpy as np
import pytest

from napari_disentangle.audit.confounding import confounded, cramers_v
from napari_disentangle.audit.separable import separable


def wells(seed, batch, effect, n=100):
    """Eight wells, four of each treatment; every well has an offset of its own."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(8), n)
    label = group % 2
    offset = rng.normal(0, 1, (8, 16)) * batch / 4  # so long in 16 dimensions
    direction = np.eye(16)[0] * effect
    x = rng.normal(0, 1, (len(group), 16)) + offset[group] + label[:, None] * direction
    return x, label, group


def test_a_pure_batch_is_at_chance_though_neighbours_find_it():
    found = [separable(*wells(s, 3.0, 0.0), permutations=0) for s in range(8)]
    assert abs(np.mean([one.accuracy for one in found]) - 0.5) < 0.07
    assert np.mean([one.naive for one in found]) >= 0.85


def test_an_effect_is_found_in_other_wells():
    found = separable(*wells(0, 1.0, 4.0))
    assert found.accuracy > 0.9
    assert found.p < 0.05


def test_few_groups_give_no_p_value():
    x, label, group = wells(0, 1.0, 2.0)
    few = group < 6
    assert np.isnan(separable(x[few], label[few], group[few]).p)


def test_a_group_has_one_label():
    x, label, group = wells(0, 1.0, 2.0)
    with pytest.raises(ValueError, match="two labels"):
        separable(x, np.roll(label, 1), group)
    with pytest.raises(ValueError, match="two groups"):
        separable(x[group < 2], label[group < 2], group[group < 2])


def design(rng, strength):
    """Plates and treatments of 48 wells with about this V: mixed at a share."""
    plate = np.repeat(np.arange(4), 12)
    treatment = plate % 2
    swapped = rng.permutation(48)[: round(48 * (1 - strength) / 2)]
    treatment = treatment.copy()
    treatment[swapped] = 1 - treatment[swapped]
    return plate, treatment


@pytest.mark.parametrize("seed", range(10))
def test_confounded_designs_are_told_and_others_are_not(seed):
    rng = np.random.default_rng(seed)
    assert not confounded(*design(rng, 0.6))
    assert "confounded" in confounded(*design(rng, 1.0))
    assert cramers_v(np.repeat([0, 1], 8), np.tile([0, 1], 8)) == 0
    assert cramers_v(list("aabbcc"), list("xxyyzz")) == pytest.approx(1)
    assert cramers_v(list("aabb"), list("xxxx")) == 0

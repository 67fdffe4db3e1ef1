"""Questions to tables of objects: what is claimed, and what a guard refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from typer.testing import CliRunner

import napari_disentangle as nd
from napari_disentangle.asking.finding import NOTHING, Finding, Guard, found
from napari_disentangle.asking.topics import topics
from napari_disentangle.cli.main import app
from napari_disentangle.errors import DataError

Table = dict[str, Any]


def table_of(values: np.ndarray, **columns: Any) -> Table:
    return {f"view {i + 1}": one for i, one in enumerate(values.T)} | columns


# --- designs --------------------------------------------------------------------------
def wells(effect: float, batch: float, seed: int = 0, n: int = 8) -> Table:
    """Wells of two treatments on two plates, each with an offset of its plate."""
    rng = np.random.default_rng(seed)
    well = np.repeat(np.arange(n), 60)
    treated, plate = well % 2, well // 2 % 2
    values = rng.normal(size=(len(well), 8))
    values[:, 0] += effect * treated
    values[:, 1] += batch * plate
    names = np.array(["control", "drug"])[treated]
    return table_of(values, treatment=names, plate=plate, well=well)


def blobs(
    seed: int, shift: float = 0.0, same: bool = False, domains: int = 6
) -> tuple[Table, np.ndarray]:
    """Three populations of two looks in domains of two wells; and the populations."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 2.1, (3, 2, 12))
    mixes = rng.dirichlet(np.ones(3), domains)
    mixes = np.tile(mixes[:1], (domains, 1)) if same else mixes
    domain = np.repeat(np.arange(domains), 200)
    well = np.arange(len(domain)) // 100
    true = np.array([rng.choice(3, p=mixes[d]) for d in domain])
    offsets = rng.normal(size=(well.max() + 1, 12))
    offsets *= shift / np.linalg.norm(offsets, axis=1, keepdims=True)
    values = centres[true, rng.integers(2, size=len(true))] + offsets[well]
    values += rng.normal(size=values.shape)
    names = np.array([f"dose {d}" for d in domain])
    return table_of(values, dose=names, well=well), true


def matched(true: np.ndarray, told: np.ndarray) -> float:
    """Accuracy after the best matching of numbers."""
    counts = np.zeros((true.max() + 1, told.max() + 1))
    np.add.at(counts, (true, told), 1)
    counts /= counts.sum(1, keepdims=True)
    return float(counts[linear_sum_assignment(-counts)].mean())


# --- separable ------------------------------------------------------------------------
ROLES = {"by": "treatment", "groups": "well", "batch": "plate"}


def test_a_treatment_is_told_apart_from_a_batch() -> None:
    both = nd.ask("separable", wells(2, 0, n=16), **ROLES)
    assert both.guard.passed
    assert "'treatment' is separable" in both.statement
    assert "the batch 'plate' is not" in both.statement
    assert "n = 16 groups (well) with 960 objects" in both.statement
    batch = nd.ask("separable", wells(0, 3, n=16), **ROLES)
    assert "'treatment' is not separable with these features" in batch.statement
    assert "it is only the batch" in batch.statement
    assert [row["column"] for row in batch.table] == ["treatment", "plate"]


def test_asking_more_than_once_raises_p() -> None:
    once = nd.ask("separable", wells(2, 0), by="treatment", groups="well")
    often = nd.ask("separable", wells(2, 0), by="treatment", groups="well", asked=3)
    assert often.table[0]["p"] == pytest.approx(3 * once.table[0]["p"], abs=1e-3)
    assert "of 3 questions" in often.statement
    many = nd.ask("separable", wells(2, 0), by="treatment", groups="well", asked=20)
    assert "8 groups are too few for an answer to 20 questions" in many.statement


def test_a_batch_that_is_the_treatment_is_refused_with_what_is_lacking() -> None:
    table = wells(2, 2)
    table["plate"] = np.array(["P1", "P2"])[(table["treatment"] == "drug").astype(int)]
    finding = nd.ask("separable", table, **ROLES)
    assert not finding.guard.passed
    assert "there is no control in P2 and drug in P1" in finding.statement


def test_few_groups_have_no_p() -> None:
    finding = nd.ask("separable", wells(2, 0, n=6), by="treatment", groups="well")
    assert finding.statement.startswith(NOTHING)
    assert "too few for a p value" in finding.statement
    assert not finding.columns


def test_a_label_of_objects_is_asked_in_other_groups() -> None:
    rng = np.random.default_rng(0)
    kind, slide = rng.integers(2, size=900), np.arange(900) // 60
    values = rng.normal(size=(900, 5))
    values[:, 2] += 2 * kind
    table = table_of(values, kind=kind, slide=slide)
    finding = nd.ask("separable", table, by="kind", groups="slide")
    assert "'kind' is separable" in finding.statement
    table["kind"] = rng.permutation(kind)
    finding = nd.ask("separable", table, by="kind", groups="slide")
    assert "'kind' is not separable" in finding.statement


# --- populations ----------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(2))
def test_what_becomes_frequent_together_is_one_population(seed: int) -> None:
    table, true = blobs(seed)
    finding = nd.ask("populations", table, domain="dose", groups="well", k=3)
    assert finding.guard.passed
    assert matched(true, finding.columns["population"]) > 0.95
    assert "makes up" in finding.statement
    assert "n = 12 groups (well) with 1200 objects" in finding.statement


def test_wells_that_differ_by_themselves_are_refused() -> None:
    table, _ = blobs(0, shift=2.0)
    finding = nd.ask("populations", table, domain="dose", groups="well", k=3)
    assert "differ for technical reasons" in finding.statement
    assert not finding.columns


def test_the_same_mix_everywhere_is_no_shift() -> None:
    table, _ = blobs(3, same=True)
    finding = nd.ask("populations", table, domain="dose", groups="well", k=3)
    assert finding.statement.startswith("No shift found")


def test_two_fields_say_nothing_of_a_treatment() -> None:
    table, _ = blobs(0, domains=2)
    finding = nd.ask("populations", table, domain="dose", k=2)
    assert finding.statement.startswith(NOTHING)
    assert "no value of 'dose' has two replicates" in finding.statement


def test_plates_are_centred_if_all_have_every_treatment() -> None:
    """Without, the wells of a treatment are told apart by their plates."""
    parts = [blobs(0) for _ in range(2)]
    values = [np.stack([t[f"view {i + 1}"] for i in range(12)], 1) for t, _ in parts]
    plate = np.repeat(["P1", "P2"], len(values[0]))
    table = table_of(
        np.concatenate([values[0], values[1] + 3]),
        dose=np.concatenate([t["dose"] for t, _ in parts]),
        well=np.concatenate([parts[0][0]["well"], 100 + parts[1][0]["well"]]),
        plate=plate,
    )
    true = np.concatenate([one for _, one in parts])
    asked = {"domain": "dose", "groups": "well", "k": 3}
    assert not nd.ask("populations", table, **asked).guard.passed
    centred = nd.ask("populations", table, batch="plate", **asked)
    assert matched(true, centred.columns["population"]) > 0.9
    table["dose"][plate == "P2"] = "dose 0"
    lacking = nd.ask("populations", table, batch="plate", **asked)
    assert "plate P2 has no dose 1" in lacking.statement


def test_small_domains_are_left_out_and_named() -> None:
    table, _ = blobs(0)
    table["dose"][:10] = "rare"
    finding = nd.ask("populations", table, domain="dose", groups="well", k=2)
    assert (finding.columns["population"][:10] == 0).all()
    assert any("rare" in said for said in finding.said)


def test_topics_of_exact_mixtures_leave_nothing_unexplained() -> None:
    rng = np.random.default_rng(0)
    kinds = np.zeros((2, 6))
    kinds[0, :3], kinds[1, 3:] = 1 / 3, 1 / 3
    made = topics(rng.dirichlet(np.ones(2), 9) @ kinds, 2)
    assert made.residual < 1e-6
    assert len({*made.likeliest[:3]}) == len({*made.likeliest[3:]}) == 1
    assert made.agreement == pytest.approx(1)


# --- teach ----------------------------------------------------------------------------
def taught(n: int = 400, seed: int = 0) -> tuple[Table, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 6))
    values[: n // 4, :2] += 3
    order = rng.permutation(n)
    table = table_of(values[order], label=np.arange(1, n + 1), plate=order % 2)
    return table, order < n // 4


def named(truth: np.ndarray, shots: int, offset: int = 1) -> dict[int, str]:
    rows = [np.flatnonzero(truth == one)[:shots] for one in (True, False)]
    return {int(row) + offset: ("it" if truth[row] else "other")
            for own in rows for row in own}  # fmt: skip


def test_a_concept_is_taught_by_some_objects() -> None:
    table, truth = taught()
    finding = nd.ask("teach", table, labels=named(truth, 8), batch="plate")
    assert ((finding.columns["taught"] == "it") == truth).mean() > 0.95
    assert finding.statement.startswith("Taught by 8 it, 8 other: recognised with ")
    assert "logistic regression" in finding.statement
    assert "concepts" in finding.statement
    best = [row["column"] for row in finding.table if "relevance" in row][:2]
    assert {*best} == {"view 1", "view 2"}
    assert all("relevance of the batch" in row for row in finding.table[10:])
    asked = [row["row"] for row in finding.table if "ask me next" in row]
    sure = finding.columns["taught p"]
    assert sure[asked].max() <= np.sort(sure)[30]


def test_p_of_what_is_taught_is_as_sure_as_few_examples_allow() -> None:
    """Five of each: no more than 6 of 7, and a half where kinds overlap."""
    rng = np.random.default_rng(0)
    kind = np.arange(2000) % 2
    values = rng.normal(size=(2000, 32)) + 0.7 * kind[:, None]
    names = {i: ("it" if kind[i] else "other") for i in range(12)}
    finding = nd.ask("teach", table_of(values), labels=names)
    right = np.where(kind, "it", "other") == finding.columns["taught"]
    assert finding.columns["taught p"].mean() == pytest.approx(right.mean(), abs=0.12)


def test_names_in_a_column_are_the_same() -> None:
    table, truth = taught()
    names = named(truth, 8)
    column = np.array([names.get(label, "") for label in table["label"]], object)
    one = nd.ask("teach", table, labels=names)
    other = nd.ask("teach", table | {"called": column}, labels="called")
    assert one.statement == other.statement
    assert (one.columns["taught p"] == other.columns["taught p"]).all()


def test_names_that_are_the_plate_are_refused() -> None:
    table, truth = taught()
    table["plate"] = truth.astype(int)
    finding = nd.ask("teach", table, labels=named(truth, 8), batch="plate")
    assert not finding.guard.passed
    assert "cannot be told apart" in finding.statement
    assert "recognised with" not in finding.statement


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({1: "it", 2: "it"}, "two kinds at least"),
        ({1: "it", 2: "it", 3: "other"}, "'other' has one example only"),
        ({}, "two kinds at least"),
        ("nothing", "no column 'nothing'"),
    ],
)
def test_too_few_names_are_one_sentence(labels: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        nd.ask("teach", taught()[0], labels=labels)


def test_names_of_objects_that_are_gone_or_twice() -> None:
    table, truth = taught()
    finding = nd.ask("teach", table, labels=named(truth, 5) | {5000: "it"})
    assert any("there is no object 5000" in said for said in finding.said)
    table["label"][200:] = table["label"][:200]
    with pytest.raises(DataError, match="is 2 rows"):
        nd.ask("teach", table, labels=named(truth, 5))


# --- typical --------------------------------------------------------------------------
def test_p_of_usual_objects_is_what_it_says_and_odd_ones_have_a_small_one() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3000, 8))
    values[2900:, 0] += 6
    what = np.repeat(["control", "new", "odd"], [2000, 900, 100])
    finding = nd.ask(
        "typical", table_of(values, what=what), by="what", normal="control"
    )
    p = finding.columns["typical p"]
    assert 0.03 < (p[what == "control"] <= 0.05).mean() < 0.07
    assert (p[what == "new"] <= 0.05).mean() < 0.07
    assert (p[what == "odd"] <= 0.05).mean() > 0.95
    assert "of n = 1000 objects that are not 'control'" in finding.statement


def test_control_wells_that_differ_are_no_measure_of_what_is_usual() -> None:
    rng = np.random.default_rng(0)
    well = np.arange(1200) // 100
    values = rng.normal(size=(1200, 5)) + 4 * rng.normal(size=(12, 5))[well]
    table = table_of(values, what=np.where(well < 8, "control", "drug"), well=well)
    finding = nd.ask("typical", table, by="what", normal="control", groups="well")
    assert "groups differ by themselves" in finding.statement
    assert not finding.columns


def test_without_normal_objects_nothing_is_claimed_of_how_many_are_odd() -> None:
    values = np.random.default_rng(0).normal(size=(300, 4))
    finding = nd.ask("typical", table_of(values))
    assert "how many are unusual cannot be said" in finding.statement
    assert len(finding.table) == 10


# --- every question -------------------------------------------------------------------
def asking(question: str) -> tuple[Table, dict[str, Any]]:
    if question == "teach":
        table, truth = taught()
        return table, {"labels": named(truth, 6)}
    if question == "populations":
        return blobs(1)[0], {"domain": "dose", "groups": "well", "k": 3}
    options = {"by": "treatment", "groups": "well"}
    return wells(2, 0), options | (
        {"normal": "control"} if question == "typical" else {}
    )


@pytest.mark.parametrize("question", nd.questions())
def test_same_seed_same_bytes(question: str) -> None:
    table, options = asking(question)
    one, other = (nd.ask(question, table, seed=3, **options) for _ in range(2))
    assert one.statement == other.statement
    for name, column in one.columns.items():
        assert column.tobytes() == other.columns[name].tobytes()
    assert one.guard.passed
    assert "n = " in one.statement


@given(st.booleans(), st.text(min_size=1), st.text(min_size=1))
def test_no_finding_claims_what_its_guard_refused(
    passed: bool, claim: str, why: str
) -> None:
    finding = found("any", claim, Guard(passed, why), {"column": np.zeros(3)})
    assert isinstance(finding, Finding)
    assert (finding.statement == claim) == passed or claim.startswith(NOTHING)
    assert finding.statement.startswith(NOTHING) or passed
    assert bool(finding.columns) == passed


@settings(max_examples=30)
@given(st.data())
def test_any_table_is_answered_refused_or_named_in_a_sentence(
    data: st.DataObject,
) -> None:
    """Few rows, constant and unknown columns, groups of any size."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    n = data.draw(st.integers(1, 120))
    values = rng.normal(size=(n, 3))
    values[:, 1] = data.draw(st.sampled_from([0.0, np.nan, 1e30]))
    values[rng.random(n) < 0.1, 2] = np.nan
    few = data.draw(st.integers(1, 8))
    roles = {name: rng.integers(few, size=n).astype(str) for name in ("a", "b", "c")}
    question = data.draw(st.sampled_from([*nd.questions()]))
    options: dict[str, Any] = {
        "separable": {"by": "a", "groups": "b", "batch": "c"},
        "populations": {"domain": "a", "groups": "b", "batch": "c"},
        "teach": {"labels": "a", "groups": "b", "batch": "c"},
        "typical": {"by": "a", "normal": "0", "groups": "b"},
    }[question]
    try:
        finding = nd.ask(question, table_of(values, **roles), **options)
    except DataError:
        return  # a sentence
    assert finding.guard.passed or finding.statement.startswith(NOTHING)
    assert all(len(column) == n for column in finding.columns.values())


# --- tables ---------------------------------------------------------------------------
def test_columns_that_say_nothing_are_left_out_and_named() -> None:
    table = wells(2, 0) | {"view 3": np.full(480, 2.0), "view 4": np.full(480, np.nan)}
    finding = nd.ask("separable", table, by="treatment", groups="well")
    assert "left out, for it is constant or unknown: view 3 and view 4" in finding.said


def test_places_are_no_features_and_codes_come_before_what_is_measured() -> None:
    rng = np.random.default_rng(0)
    known = wells(0, 0)
    values = [known.pop(name) for name in [*known] if name.startswith("view")]
    measured = {f"area {i}": one for i, one in enumerate(values)}
    told = (known["treatment"] == "drug") * 9.0
    places = {"centroid-y": told, "label": told, "bbox-x0": told, "group": told}
    asked = {"by": "treatment", "groups": "well"}
    finding = nd.ask("separable", known | measured | places, **asked)
    assert "is not separable" in finding.statement
    codes = {"view 1": told + rng.normal(size=480)}
    finding = nd.ask("separable", known | measured | codes, **asked)
    assert "is separable" in finding.statement
    finding = nd.ask("separable", known | measured, features=["area 0"], **asked)
    assert "is not separable" in finding.statement


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        ({}, {"by": "dose"}, "no column 'dose'"),
        ({"treatment": np.full(480, "drug")}, {}, "has one value"),
        ({}, {"features": ["plate", "dose"]}, "no column dose"),
        ({}, {"features": ["treatment"]}, "holds no numbers"),
        ({}, {"wells": "well"}, "no option 'wells'"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    change: Table, options: dict[str, Any], says: str
) -> None:
    asked = {"by": "treatment", "groups": "well"} | options
    with pytest.raises(DataError, match=says):
        nd.ask("separable", wells(1, 0) | change, **asked)


def test_what_is_no_table_or_no_question() -> None:
    with pytest.raises(DataError, match="is no table"):
        nd.ask("typical", 3)
    with pytest.raises(DataError, match="is empty"):
        nd.ask("typical", {})
    with pytest.raises(DataError, match="there is no file"):
        nd.ask("typical", "absent.csv")
    with pytest.raises(DataError, match="there is no question 'why'"):
        nd.ask("why", {})
    with pytest.raises(DataError, match="needs by and groups"):
        nd.ask("separable", {"a": np.zeros(3)})


# --- the command line -----------------------------------------------------------------
def written(path: Path, table: Table) -> Path:
    rows = zip(*table.values(), strict=True)
    lines = [",".join(table), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_command_line_says_the_same_and_writes_the_columns(tmp_path: Path) -> None:
    table, _ = blobs(1)
    path = written(tmp_path / "table.csv", table)
    options = ["--domain", "dose", "--groups", "well", "--k", "3"]
    out = tmp_path / "out.csv"
    ended = CliRunner().invoke(
        app, ["ask", "populations", str(path), *options, "--csv", str(out)]
    )
    assert ended.exit_code == 0
    finding = nd.ask("populations", table, domain="dose", groups="well", k=3)
    assert ended.stdout.splitlines()[0] == finding.statement
    column = [line.rpartition(",")[2] for line in out.read_text().splitlines()]
    assert column == ["population", *map(str, finding.columns["population"])]


def test_a_refusal_has_its_own_exit_code(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", blobs(0, shift=2.0)[0])
    options = ["--domain", "dose", "--groups", "well"]
    ended = CliRunner().invoke(app, ["ask", "populations", str(path), *options])
    assert ended.exit_code == 3
    assert "guard refused" in ended.stdout


# --- what a new user tried ------------------------------------------------------------
def test_wells_of_the_same_name_on_two_plates_are_two() -> None:
    """Control is all on one plate, and the drug on the other."""
    table = wells(0, 0, n=16)
    drug = table["treatment"] == "drug"
    table["plate"] = np.where(drug, "P2", "P1")
    table["well"] = np.array([f"A{w // 2}" for w in table["well"]])
    table["view 1"] = table["view 1"] + 3 * drug
    finding = nd.ask("separable", table, **ROLES)
    assert "cannot be told apart" in finding.statement
    typical = {"by": "treatment", "normal": "control", "batch": "plate"}
    finding = nd.ask("typical", table, groups="well", **typical)
    assert "may be unusual for that" in finding.statement
    assert not finding.columns


def test_noise_teaches_nothing() -> None:
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(30):
        names = dict.fromkeys(range(5), "it") | dict.fromkeys(range(5, 10), "other")
        table = table_of(rng.normal(size=(200, 8)))
        passed += nd.ask("teach", table, labels=names).guard.passed
    assert passed <= 4


def test_what_is_known_of_wells_is_no_feature_and_features_are_named() -> None:
    table = wells(0, 0, n=16)
    values = [table.pop(name) for name in [*table] if name.startswith("view")]
    table |= {f"area {i}": one for i, one in enumerate(values)}
    table["dose"] = np.where(table["treatment"] == "drug", 10.0, 0.0)
    finding = nd.ask("separable", table, **ROLES)
    assert "is not separable" in finding.statement
    assert "no features, for they are of wells or images: dose" in finding.said
    assert any(said.startswith("features: area 0, area 1") for said in finding.said)


def test_a_little_more_than_chance_is_hardly_separable() -> None:
    rng = np.random.default_rng(0)
    slide = np.arange(4000) // 100
    kind = rng.integers(2, size=4000)
    values = rng.normal(size=(4000, 3))
    values[:, 0] += 0.3 * kind
    table = table_of(values, kind=kind, slide=slide)
    finding = nd.ask("separable", table, by="kind", groups="slide")
    assert "'kind' is hardly separable" in finding.statement


def test_unknown_values_count_nowhere() -> None:
    table, _ = blobs(0)
    table["well"] = table["well"].astype(float)
    table["well"][::10] = np.nan
    finding = nd.ask("populations", table, domain="dose", groups="well", k=3)
    assert "n = 12 groups (well) with 1080 objects" in finding.statement
    assert any("120 objects without" in said for said in finding.said)
    table = wells(0, 0)
    table["treatment"] = table["treatment"].astype(object)
    table["treatment"][::5] = ""
    finding = nd.ask("typical", table, by="treatment", normal="control")
    n = (table["treatment"] == "drug").sum()
    assert f"of n = {n} objects that are not 'control'" in finding.statement


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "is empty"),
        ("a,ä\n1,2\n".encode("utf-16"), "no text in UTF-8"),
        (b"a,a\n1,2\n", "two columns 'a'"),
        (b"a,b\n1,2\n3\n", "row 3 of 'table.csv' has 1 cells"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(text)
    with pytest.raises(DataError, match=says):
        nd.ask("typical", path)


def test_tables_of_spreadsheets_are_read(tmp_path: Path) -> None:
    """With a mark of the encoding, semicolons and an empty line."""
    table = wells(3, 0)
    path = written(tmp_path / "table.csv", table)
    text = "\ufeff" + path.read_text().replace(",", ";") + "\n\n"
    path.write_text(text, encoding="utf-8")
    asked = {"by": "treatment", "groups": "well"}
    finding = nd.ask("separable", path, **asked)
    assert finding.statement == nd.ask("separable", table, **asked).statement


def test_wrong_options_are_one_sentence() -> None:
    table, _ = blobs(0)
    for k in (1, 2.0, "3", 9):
        with pytest.raises(DataError, match="as a whole number"):
            nd.ask("populations", table, domain="dose", groups="well", k=k)
    with pytest.raises(DataError, match="different lengths"):
        nd.ask("typical", table | {"short": np.zeros(3)})
    with pytest.raises(DataError, match="normal in which column"):
        nd.ask("typical", table, normal="dose 1")
    finding = nd.ask("typical", table, features="view 1")
    assert "features: view 1" in finding.said


def test_a_refusal_tells_nothing_of_single_objects() -> None:
    table, truth = taught()
    table["plate"] = truth.astype(int)
    finding = nd.ask("teach", table, labels=named(truth, 8), batch="plate")
    assert not any("row" in row for row in finding.table)
    assert "taught" not in finding.plot


def test_one_well_that_is_shifted_among_many_domains_is_seen() -> None:
    table, _ = blobs(0, domains=10)
    odd = table["well"] == 7
    for i in range(12):
        table[f"view {i + 1}"] = table[f"view {i + 1}"] + 3 * odd
    finding = nd.ask("populations", table, domain="dose", groups="well", k=3)
    assert "replicates of dose 3 are told apart" in finding.statement


def test_wells_that_are_named_are_the_unit_of_teaching() -> None:
    """All cells of a well have its name, and the well its own offset."""
    passed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        well = np.arange(80) // 10
        values = rng.normal(size=(80, 5)) + 2 * rng.normal(size=(8, 5))[well]
        called = np.where(well % 2, "it", "other")
        table = table_of(values, well=well, called=called)
        finding = nd.ask("teach", table, labels="called", groups="well")
        passed += finding.guard.passed
    assert passed <= 3


def test_small_groups_of_usual_objects_are_no_reason_to_refuse() -> None:
    rng = np.random.default_rng(0)
    table = table_of(rng.normal(size=(200, 5)), image_of=np.arange(200) // 5)
    assert nd.ask("typical", table, groups="image_of").guard.passed


def test_a_kind_named_in_one_image_is_told_to_be_named_elsewhere() -> None:
    rng = np.random.default_rng(0)
    image = np.repeat(["one", "two", "three"], 40)
    named = np.full(120, "", object)
    named[:5] = "big"
    named[[20, 45, 50, 85, 90]] = "small"
    values = rng.normal(size=(120, 5)) + 6 * (np.arange(120) < 20)[:, None]
    finding = nd.ask(
        "teach", table_of(values, image=image, named=named), labels="named"
    )
    assert not finding.guard.passed
    assert "all 5 big are of one" in finding.statement
    named[60:62] = "big"
    values[60:62] += 6
    finding = nd.ask(
        "teach", table_of(values, image=image, named=named), labels="named"
    )
    assert "all 5" not in finding.statement


def test_a_well_of_two_plates_is_said_if_nobody_named_the_plates() -> None:
    table = wells(3, 0)
    well = np.array([name.split("_")[-1] for name in table["well"].astype(str)])
    plate = np.arange(len(well)) % 2
    finding = nd.ask("typical", table | {"well": well, "plate": plate}, groups="well")
    assert any("is in 2 of 'plate'" in said for said in finding.said)
    finding = nd.ask(
        "typical", table | {"well": well, "plate": plate}, groups="well", batch="plate"
    )
    assert not any("is in 2 of" in said for said in finding.said)
    finding = nd.ask("typical", table | {"plate": np.zeros(len(well))}, groups="well")
    assert not any("is in 2 of" in said for said in finding.said)


def test_one_column_named_twice_is_one_sentence() -> None:
    with pytest.raises(DataError, match="named twice"):
        nd.ask("separable", wells(3, 0), by="plate", groups="well", batch="plate")

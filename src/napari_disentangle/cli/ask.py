"""``napari-disentangle ask``: a question to a table of objects, and its answer."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import napari_disentangle.cli.options as opt

_REFUSED = 3


def _column(text: str) -> Any:
    return typer.Option(metavar="COLUMN", help=text)


By = Annotated[str | None, _column("What is asked for, such as the treatment.")]
Groups = Annotated[str | None, _column("What must not be split: wells, slides.")]
Batch = Annotated[str | None, _column("The batch, such as the plate.")]
Domain = Annotated[str | None, _column("In what the mix differs, as the treatment.")]
Labels = Annotated[str | None, _column("Names of some objects, to teach.")]


def ask(
    question: Annotated[
        str, typer.Argument(help="separable, populations, teach or typical.")
    ],
    table: Annotated[Path, typer.Argument(metavar="CSV", help="A row per object.")],
    by: By = None,
    groups: Groups = None,
    batch: Batch = None,
    domain: Domain = None,
    labels: Labels = None,
    normal: Annotated[
        str | None,
        typer.Option(metavar="VALUE", help="The value of --by that is normal."),
    ] = None,
    k: Annotated[int | None, typer.Option(help="How many populations.")] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Again for every one.")
    ] = None,
    csv: Annotated[
        Path | None,
        opt.File("--csv", help="Write the table with the columns that were found."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    asked: Annotated[
        int, typer.Option(min=1, help="Questions asked of this table in all.")
    ] = 1,
) -> None:
    """Ask a table of objects; exit code 3 if the guard refused an answer."""
    import napari_disentangle as nd
    from napari_disentangle.asking.columns import columns_of
    from napari_disentangle.files.text import check_place, csv_text, write_text

    if csv is not None:
        check_place(csv)
    options = {"by": by, "groups": groups, "batch": batch, "domain": domain,
               "labels": labels, "normal": normal, "k": k}  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    found = nd.ask(question, table, features=feature, seed=seed, asked=asked, **given)
    print(found.statement)
    passed = "passed" if found.guard.passed else "refused"
    print(f"guard {passed}: {found.guard.why}")
    names = [*dict.fromkeys(name for row in found.table for name in row)]
    for row in [dict(zip(names, names, strict=True)), *found.table] if names else []:
        print("\t".join(str(row.get(name, "")) for name in names))
    for words in found.said:
        print(words, file=sys.stderr)
    if csv is not None and found.columns:
        write_text(csv, csv_text({**columns_of(table), **found.columns}))
        print(csv)
    if not found.guard.passed:
        raise typer.Exit(_REFUSED)

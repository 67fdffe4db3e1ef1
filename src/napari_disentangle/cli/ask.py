"""``napari-disentangle ask``: a question to a table of objects, and its answer."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import napari_disentangle.cli.options as opt

_REFUSED = 3

Column = typer.Option(metavar="COLUMN")


def ask(
    question: Annotated[
        str, typer.Argument(help="separable, populations, teach or typical.")
    ],
    table: Annotated[Path, typer.Argument(metavar="CSV", help="A row per object.")],
    by: Annotated[str | None, Column] = None,
    groups: Annotated[str | None, Column] = None,
    batch: Annotated[str | None, Column] = None,
    domain: Annotated[str | None, Column] = None,
    labels: Annotated[str | None, Column] = None,
    normal: Annotated[str | None, typer.Option(metavar="VALUE")] = None,
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

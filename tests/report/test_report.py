"""What we promise of the page, the tables, the figures and the verb."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args
from xml.etree import ElementTree

import msgspec
import pytest

from clipvil import cli
from clipvil.evaluate.result import About, Cell, Control, Difference, Mean, Record, read_records
from clipvil.report import figures, page, tables, view, words
from clipvil.report.view import Comparison


@pytest.fixture(scope="module")
def comparison(records: list[Record]) -> Comparison:
    (one,) = view.comparisons(records)
    return one


def change(comparison: Comparison, **fields: object) -> Difference:
    found = comparison.against("tiny:clip", "20%")
    assert found is not None
    return msgspec.structs.replace(found, **fields)


def test_every_kind_of_control_is_told_and_looks_its_own(comparison: Comparison) -> None:
    assert view.CONTROLS.keys() == set(get_args(Control))
    more = {f"encoder {k}, linear probe": cast(Control, "probe") for k in range(6)}
    many = replace(comparison, controls=comparison.controls | more)
    looks = [(look["marker"], look["dashes"]) for who in many.all
             if (look := figures.look(many, who))]  # fmt: skip
    assert len(set(looks)) == len(many.all) == 12


def test_several_tasks_stand_side_by_side(records: list[Record]) -> None:
    other = [msgspec.structs.replace(record, task="gqa") for record in records
             if not isinstance(record, Mean) or record.encoder != "text only"]  # fmt: skip
    assert not tables.overview(view.comparisons(records)).rows
    both = tables.overview(view.comparisons([*records, *other]))
    rows = {row[0]: row[1:] for row in both.rows}
    assert [name.partition(":")[0] for name in both.head[1:]] == ["vqa2", "gqa"]
    assert rows["text only (control)"][1] == words.NONE != rows["text only (control)"][0]
    (alone,) = view.comparisons(records)
    told = [r[-1] for r in tables.scores(alone).rows if r[0] == "tiny:clip"]
    assert rows["tiny:clip"][0].removesuffix(" *") == told[0]
    assert "Every task" in page.html(view.comparisons([*records, *other]), [])


# ---------------------------------------------------------------------------- words


def test_a_comparison_is_found_in_its_records(comparison: Comparison) -> None:
    assert comparison.baseline == comparison.encoders[0] == "tiny:supervised"
    assert [size.text for size in comparison.sizes] == ["5 %", "20 %", "100 %"]
    assert comparison.text_only == "text only" and len(comparison.shifts) == 3
    assert len(comparison.breakdowns["question type"]) == 6


def test_the_headline_says_what_was_found(comparison: Comparison) -> None:
    d = change(comparison, value=3.94, low=1.2, high=6.6, significant=True, seeds=[3.0, 4.0, 5.0])
    mean = comparison.mean("tiny:clip", "20%")
    assert mean is not None
    assert words.finding(comparison, comparison.sizes[1], d) == (
        f"With 20 % of the examples, tiny:clip answers {mean.value:.1f} % right, 3.9 points more "
        "than tiny:supervised (95 % interval 1.2 to 6.6; all 3 seeds agree)."
    )


def test_a_loss_turns_its_interval(comparison: Comparison) -> None:
    d = change(comparison, value=-3.9, low=-6.6, high=-1.2, significant=True, seeds=[-3.0, -4.0])
    text = words.finding(comparison, comparison.sizes[1], d)
    assert "3.9 points less than" in text and "95 % interval 1.2 to 6.6; all 2 seeds" in text


def test_no_difference_is_said_to_be_none(comparison: Comparison) -> None:
    d = change(comparison, value=0.4, low=-1.2, high=2.0, significant=False, p_holm=0.6,
               seeds=[1.0, -0.5, 0.7])  # fmt: skip
    text = words.finding(comparison, comparison.sizes[1], d)
    assert "no significant difference from tiny:supervised (+0.4 points" in text
    assert "adjusted p 0.600; 2 of 3 seeds agree" in text


def test_cautions_name_text_alone_and_what_did_not_converge(records: list[Record]) -> None:
    low = [msgspec.structs.replace(r, value=-1.0, significant=True)
           if isinstance(r, Difference) and r.family == "control" and r.encoder == "tiny:clip"
           and r.shots != "100%" else r for r in records]  # fmt: skip
    (one,) = view.comparisons(low)
    said = words.cautions(one)
    assert "Text alone reaches the score of tiny:clip with 5 % and 20 %." in said
    assert any("1 of 45 trained models had not converged" in text for text in said)
    assert "At 100 % seeds vary initialisation and order only." in said


def test_what_does_not_exist_is_a_dash() -> None:
    assert words.number(None, "%") == words.interval(None, 1.0, "%") == words.p_value(None) == "–"
    assert words.number(-0.0123, "1", signed=True) == "−0.012"


# ---------------------------------------------------------------------------- tables


def test_csv_holds_every_record(records: list[Record]) -> None:
    rows = list(csv.DictReader(tables.to_csv(records).splitlines()))
    assert len(rows) == len(records)
    first = records[0]
    assert isinstance(first, Cell) and float(rows[0]["value"]) == first.value
    assert rows[0]["seed_data"] == "0" and rows[0]["shift"] == ""


def test_markdown_and_latex_are_well_formed(comparison: Comparison) -> None:
    printed = tables.every(comparison)
    assert len(printed) == 3
    for block in tables.to_markdown(printed).split("\n\n")[1::2]:
        counts = {re.sub(r"\\\|", "", line).count("|") for line in block.strip().splitlines()}
        assert len(counts) == 1
    latex = tables.to_latex(printed)
    assert r"text only (control)" in latex and r"vit\_base\_patch32" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 3
    assert not re.search(r"(?<!\\)[%_&#](?! |\\)", latex.partition("\n")[2].replace(" & ", ""))


# ---------------------------------------------------------------------------- figures


def test_figures_are_xml_that_says_what_it_shows(comparison: Comparison) -> None:
    drawn = [figures.curves(comparison), figures.shifts(comparison),
             figures.strata(comparison, "question type")]  # fmt: skip
    ids: list[str] = []
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img" and "tiny:clip" in root.attrib["aria-label"]
        assert "var(--s2)" in svg and not re.search(r"#0[1-9a-c]0[1-9a-c]0[1-9a-c]\b", svg)
        ids += re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids)), "two figures of one page share no id"


def test_an_encoder_looks_the_same_everywhere_and_like_no_other(comparison: Comparison) -> None:
    looks = [str(figures.look(comparison, who)) for who in comparison.all]
    assert len(set(looks)) == len(looks)
    markers = [figures.look(comparison, who)["marker"] for who in comparison.all]
    assert len(set(markers)) == len(markers), "nothing hangs on colour alone"


# ---------------------------------------------------------------------------- page and verb


def test_the_page_stands_alone(records: list[Record], about: About) -> None:
    text = page.html(view.comparisons(records), [about])
    for place in re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import', text):
        assert (place[0] or place[1]).startswith(("data:", "#")), place
    assert "<script" not in text
    assert "Is the &lt;ball&gt; larger than the box &amp; near it?" in text
    assert text.count('class="card"') == 4 and "not converged" in text and about.command in text
    assert text.count('<tr class="control">') == 3
    every_seed = " · ".join(
        words.number(s, "%")
        for r in records
        if isinstance(r, Mean) and r.encoder == "tiny:clip" and r.metric == "accuracy"
        and r.shots == "20%" and r.shift is None
        for s in r.seeds
    )  # fmt: skip
    assert every_seed in text


def test_one_encoder_one_size_one_seed_and_no_controls(records: list[Record]) -> None:
    few = [r for r in records if r.encoder == "tiny:clip" and r.shots == "20%"
           and not isinstance(r, Difference) and r.shift is None
           and (isinstance(r, Mean) or r.seed.data == 0)]  # fmt: skip
    few = [msgspec.structs.replace(r, seeds=r.seeds[:1]) if isinstance(r, Mean) else r for r in few]
    text = page.html(view.comparisons(few), [])
    assert "tiny:clip answers" in text and "One seed was run" in text
    assert "holds no account of how it was run" in text


def test_records_without_a_comparison_are_refused(records: list[Record]) -> None:
    with pytest.raises(ValueError, match="no record of kind mean"):
        view.comparisons([r for r in records if isinstance(r, Cell)])


@pytest.mark.slow
def test_the_verb_merges_folders(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = read_records(folder / "results.jsonl")
    for name, encoder in (("one", "tiny:clip"), ("two", "tiny:supervised")):
        (tmp_path / name).mkdir()
        lines = (folder / "results.jsonl").read_text().splitlines(keepends=True)
        kept = (line for line, r in zip(lines, records, strict=True) if r.encoder != encoder)
        (tmp_path / name / "results.jsonl").write_text("".join(kept))
    out = tmp_path / "out"
    arguments = [str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(out)]
    assert cli.run("report", arguments) == 0
    said = capsys.readouterr().err
    for name in ("report.html", "results.csv", "table.md", "table.tex"):
        assert (out / name).stat().st_size > 0 and f"wrote {out / name}" in said
    whole = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert len(whole) == len(records)
    adjusted = {(r["family"], r["encoder"], r["shots"], r["shift"]): r["p_holm"] for r in whole
                if r["kind"] == "difference" and r["family"] == "primary"}  # fmt: skip
    for r in records:
        if isinstance(r, Difference) and r.family == "primary":
            assert float(adjusted["primary", r.encoder, r.shots, ""]) == r.p_holm


def test_a_folder_of_a_folder_a_task_tells_how_each_was_run(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    for name in ("results.jsonl", "task/about.json"):
        (tmp_path / name).write_bytes((folder / Path(name).name).read_bytes())
    assert cli.run("report", [str(tmp_path)]) == 0
    assert "no account of how it was run" not in (tmp_path / "report.html").read_text()


def test_a_folder_without_records_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("report", [str(tmp_path)]) == 2
    assert f"no results.jsonl in {tmp_path}" in capsys.readouterr().err


def test_captions_stand_beside_people_s(comparison: Comparison, about: About) -> None:
    """Every caption with its own score, which is no credit to call right or wrong."""
    told = msgspec.structs.replace(about, examples=about.examples[-1:])
    text = page.html([replace(comparison, metric="cider", unit="")], [told])
    card = text[text.index("Where they differ") : text.index("How the models were trained")]
    assert "a &lt;red&gt; ball" in card and "CIDEr 1.234" in card and "CIDEr 0.000" in card
    assert card.count("<span>A red ball &amp; a box.</span>") == 1
    assert card.count("two things on a table") == 1, "each once"
    assert "right" not in card and "wrong" not in card

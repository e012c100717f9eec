"""The report: every number is that of `mer score`, the page is sound, and nothing from outside becomes markup."""

import csv
import hashlib
import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest
from blobs import blob_clips, write_blobs
from click.testing import CliRunner
from ledgers import commit, knowing, negative, plan_for
from simulated import plan_of, simulate
from workers import run_here

from mer_data.storage.store import Store
from mer_models.spec import Published
from orchestrator.cli.commands import main, mer
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report.paper import latex, references
from orchestrator.report.paper.boards import boards, read, score_documents
from orchestrator.report.paper.documents import shown
from orchestrator.report.paper.literature import comparable
from orchestrator.report.paper.markdown import escaped
from orchestrator.score.metrics import uf1
from orchestrator.score.ranks import rank_shares
from orchestrator.sweep.dispatcher import Dispatcher

FOREIGN = "<img src=x onerror=alert(1)>&$x_1^2$"
SVG, HTML = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two output folders, one searched, their report, and what `mer score --json` says of each."""
    root = tmp_path_factory.mktemp("paper")
    store = Store(root / "store")
    clips = [replace(clip, name=FOREIGN) if clip.name == "clip5" else clip for clip in blob_clips(16, 6)]
    write_blobs(store, "blobs", clips)
    skilled = knowing({"ststnet": 0.9, "off_apexnet": 0.5, "majority": 0.2})

    def answer(plan: Plan, job: Job, clip_id: str) -> str:
        if FOREIGN in clip_id:  # nobody gets it right
            return "positive" if plan.datasets["blobs"].cohort.label_of[clip_id] == "negative" else "negative"
        return skilled(plan, job, clip_id)

    changes = {"models": ["ststnet", "off_apexnet", "majority"], "seeds": [0, 1]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mer_data.files._flush", lambda path: None)
        listed = plan_for(store, recipes={"all": {"epochs": 3}}, **changes)
        commit(listed, Ledger(root / "<i>a&b" / "ledger"), answer)
        listed.save(root / "<i>a&b" / "plan.json")
        searched = plan_of(store, configurations=3)
        searched.save(root / "searched" / "plan.json")
        simulate(searched, root / "searched")
        outs = [str(root / "<i>a&b")]
        run("report", *outs, "--to", str(root / "report"))
    scores = json.loads(run("score", outs[0], "--json"))
    return {"root": root, "outs": outs, "report": root / "report", "score": scores}


def run(*arguments: str) -> str:
    done = CliRunner().invoke(mer, arguments, catch_exceptions=False, standalone_mode=False)
    return done.stdout


def page(folder: Path) -> Any:
    """The page as a tree; a parser that is strict raises at the first error."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    return html5lib.HTMLParser(strict=True).parse(text)


def at(document: Any, path: str) -> Any:
    for step in path.split("/"):
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def numbers(tree: Any) -> list[tuple[str, list[float], str]]:
    """Place in the documents, value and text of every number that stands in one."""
    found = [one for one in tree.iter(f"{HTML}data") if one.get("data-of")]
    return [(one.get("data-of"), [float(v) for v in one.get("value").split()], one.text) for one in found]


def test_every_number_of_the_page_is_that_of_mer_score(made: dict[str, Any]) -> None:
    found = numbers(page(made["report"]))
    of_score = [one for one in found if one[0].startswith("score/0/")]
    assert len(of_score) > 150
    for path, values, text in of_score:
        said = at(made["score"], path.removeprefix("score/0/"))
        assert values == pytest.approx(np.atleast_1d(said).tolist(), rel=0, abs=1e-12), path
        digits = len(text.split("–")[0].partition(".")[2])
        assert text == "–".join(shown(v if digits else int(v), digits) for v in values), path
    for path, values, _ in (one for one in found if one[0].startswith("board/")):
        rule = path.split("/")[-2]
        oracle = json.loads(run("score", made["outs"][0], "--rule", rule, "--json"))
        assert values[0] in [row["uf1"] for row in oracle["rows"]]


def test_every_headline_is_on_the_page(made: dict[str, Any]) -> None:
    told = {path for path, _, _ in numbers(page(made["report"]))}
    for index, _row in enumerate(made["score"]["rows"]):
        assert {f"score/0/rows/{index}/{name}" for name in ("uf1", "uar", "accuracy", "uf1_interval")} <= told


def test_differences_are_those_of_mer_compare(made: dict[str, Any]) -> None:
    found = {path: values[0] for path, values, _ in numbers(page(made["report"])) if path.startswith("pairs/")}
    said = json.loads(run("compare", made["outs"][0], "--reference", "ststnet", "--json"))["comparisons"]
    assert [found[f"pairs/0/comparisons/{index}/difference"] for index in (0, 1)] == [one["difference"] for one in said]
    assert [found[f"pairs/0/comparisons/{index}/p"] for index in (0, 1)] == [one["p"] for one in said]


def test_numbers_in_tables_and_pictures_are_the_same(made: dict[str, Any]) -> None:
    rows = list(csv.DictReader((made["report"] / "tables" / "scores.csv").open(encoding="utf-8")))
    written = (made["report"] / "tables" / "scores.tex").read_text(encoding="utf-8")
    drawn = " ".join(page(made["report"]).find(f".//{SVG}svg").itertext())
    document = made["score"]["rows"]
    assert len(rows) == len(document)
    for row in document:
        name = row["model"] if row["scope"] == "all" else row["scope"]
        same = [line for line in rows if (line["model"], line["UF1"]) == (name, f"{row['uf1']:.6g}")]
        assert same, name
        assert same[0]["UAR"] == f"{row['uar']:.6g}"
        assert same[0]["95 % low"] == f"{row['uf1_interval'][0]:.6g}"
        assert f"{row['uf1']:.4f}" in written
        assert row["scope"] != "all" or f"{row['uf1']:.4f}" in drawn


def test_oracles_are_on_the_page_and_in_no_table_of_a_paper(made: dict[str, Any]) -> None:
    assert any(path.startswith("board/") for path, _, _ in numbers(page(made["report"])))
    for path in (made["report"] / "tables").glob("*.*"):
        text = path.read_text(encoding="utf-8").lower()
        assert "oracle" not in text or path.name.startswith("published"), path


def test_the_markdown_has_the_words_and_tables_of_the_page(made: dict[str, Any]) -> None:
    page, text = (made["report"] / "report.html").read_text("utf-8"), (made["report"] / "report.md").read_text("utf-8")
    captions = re.findall(r"<caption><span>(.*?)</span></caption>", page)
    assert [f"**{escaped(html.unescape(caption))}**" for caption in captions] == re.findall(
        r"^\*\*.*\*\*$", text, re.MULTILINE
    )
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith(" |") for line in rows)
    assert len(re.findall("<tr", page)) == len(rows) - len(captions), "a line below each heading"
    for number in re.findall(r"<data [^>]*data-of=[^>]*>([^<]+)</data>", page):
        assert escaped(html.unescape(number)).replace("\u00a0%", " %") in text


def test_what_guesses_reach_with_an_oracle_is_told_first(tmp_path: Path) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(6, 3))
    plan = plan_for(Store(tmp_path / "store"), models=["chance"])
    plan.save(tmp_path / "out/plan.json")
    for job in plan.jobs:
        run_here(Dispatcher(plan, tmp_path / "out/ledger"), job)
    run("report", str(tmp_path / "out"), "--to", str(tmp_path / "report"))
    text = (tmp_path / "report/report.html").read_text("utf-8")
    told = re.sub("<.*?>", "", text[text.index("Guesses by class frequency") :])
    figures = re.match(
        r"Guesses by class frequency have UF1 ([\d.]+); with the best of 100 guesses .*?, ([\d.]+)\.", told
    )
    assert figures
    row, *_ = json.loads(run("score", str(tmp_path / "out"), "--json", "--rule", "oracle-subject"))["rows"]
    assert row["scope"] == "all"
    assert float(figures[1]) < float(figures[2]) == round(row["uf1"], 4)


def test_a_second_report_has_the_same_bytes(made: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    for name in ("old.tex", "own.tex"):
        (tmp_path / "tables" / name).write_text("x")
    (tmp_path / "report.html").write_text('<meta name="files" content="tables/old.tex ../tables/own.tex">')
    run("report", *made["outs"], "--to", str(tmp_path))
    own = sums(tmp_path).pop("tables/own.tex")
    assert sums(tmp_path) == {**sums(made["report"]), "tables/own.tex": own}, "what a report did not write stays"


def sums(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_page_is_sound_and_needs_nothing_beside_it(made: dict[str, Any]) -> None:
    tree = page(made["report"])
    ids = [one.get("id") for one in tree.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    assert not [one for one in tree.iter() if one.tag in (f"{HTML}script", f"{HTML}link", f"{HTML}img")]
    for one in tree.iter():
        for name in ("href", "src", "{http://www.w3.org/1999/xlink}href"):
            target = one.get(name)
            assert target is None or target[1:] in ids, f"{one.tag} {name}={target}"
    assert "url(http" not in (made["report"] / "report.html").read_text(encoding="utf-8")


def test_pictures_have_alternative_texts(made: dict[str, Any]) -> None:
    pictures = list(page(made["report"]).iter(f"{SVG}svg"))
    assert len(pictures) >= 7
    for one in pictures:
        assert one.get("role") == "img"
        title, description = one.find(f"{SVG}title"), one.find(f"{SVG}desc")
        assert one.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        assert len(title.text) > 10
        assert len(description.text) > 30


def test_names_from_outside_are_text(made: dict[str, Any]) -> None:
    tree = page(made["report"])
    text = "".join(tree.itertext())
    assert FOREIGN in text
    assert "<i>a&b" in text
    assert not list(tree.iter(f"{HTML}img")) and not list(tree.iter(f"{HTML}i"))  # noqa: PT018
    missed = (made["report"] / "tables" / "missed.tex").read_text(encoding="utf-8")
    assert r"\textless{}img src=x onerror=alert(1)\textgreater{}\&\$x\_1\textasciicircum{}2\$" in missed


def test_a_searched_folder_beside_another(made: dict[str, Any], tmp_path: Path) -> None:
    other = str(made["root"] / "searched")
    run("report", other, "--to", str(tmp_path))
    text = "".join(page(tmp_path).itertext())
    assert "What the searches chose" in text
    assert "One seed: how much another training differs is not known." in text
    assert "There is one model, so nothing is compared." in text
    assert {"search-1.pdf", "tried-1.pdf"} <= {path.name for path in (tmp_path / "figures").iterdir()}


def test_models_with_more_and_fewer_seeds_are_told_apart(tmp_path: Path) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(8, 6))
    for model, seeds in (("ststnet", [0, 1, 2]), ("off_apexnet", [0, 1])):
        plan = plan_for(Store(tmp_path / "store"), models=[model], seeds=seeds)
        commit(plan, Ledger(tmp_path / model / "ledger"), knowing({"ststnet": 0.9, "off_apexnet": 0.3}))
        plan.save(tmp_path / model / "plan.json")
    run("report", str(tmp_path / "ststnet"), str(tmp_path / "off_apexnet"), "--to", str(tmp_path / "report"))
    text = "".join(page(tmp_path / "report").itertext())
    assert "8 subjects in 8 folds, seeds: ststnet 3, off_apexnet 2." in text
    assert "Where one of the two has more seeds, its first ones, as many as the other has." in text
    assert "with 3 (ststnet) and 2 (off_apexnet) random seeds" in text


def test_several_datasets_single_runs_and_a_store_that_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for name in ("blobs", "others"):
        write_blobs(store, name, blob_clips())
    plan = plan_for(store, datasets=["blobs", "others"], protocol="hde")
    commit(plan, Ledger(tmp_path / "out" / "ledger"), negative)
    plan.save(tmp_path / "out" / "plan.json")
    shutil.rmtree(tmp_path / "store")
    run("report", str(tmp_path / "out"))
    tree = page(tmp_path / "out" / "report")
    text = "".join(tree.itertext())
    for said in (
        "The store cannot be reached from here",
        "One seed: how much another training differs is not known.",
        "There is one model, so nothing is compared.",
        "Every model kept one epoch only, so there is no curve.",
        "No model was searched",
    ):
        assert text.count(said) == 2, said
    assert {"forest-1-blobs.pdf", "forest-2-others.pdf"} <= {
        path.name for path in (tmp_path / "out" / "report" / "figures").iterdir()
    }
    ids = [one.get("id") for one in tree.iter() if one.get("id")]
    assert len(ids) == len(set(ids))


def test_folders_that_are_unlike_or_not_complete_are_refused(
    made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(6, 4))
    plan = plan_for(store, seeds=[0, 1])
    commit(plan, Ledger(tmp_path / "other" / "ledger"), negative, plan.jobs[1:])
    plan.save(tmp_path / "other" / "plan.json")
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(tmp_path / "other")])
    assert "folds are missing" in capsys.readouterr().err
    commit(plan, Ledger(tmp_path / "other" / "ledger"), negative, plan.jobs[:1])
    with pytest.raises(SystemExit, match="2"):
        main(["report", *made["outs"], str(tmp_path / "other")])
    told = capsys.readouterr().err
    assert told.count("other clip lists") == 1
    assert not (Path(made["outs"][0]) / "report").exists()


def test_ranks_are_shared_by_equals_and_sum_to_one() -> None:
    right = np.zeros((1, 4, 2, 2), np.int64)
    right[0, :, [0, 1], [0, 1]] = 3
    wrong = right[..., ::-1]
    shares = rank_shares([wrong, right, right], np.zeros(4, np.int64), uf1)
    assert shares.tolist() == [[0, 0, 1], [1, 0, 0], [1, 0, 0]]


def test_what_can_be_compared_with_a_published_figure(made: dict[str, Any]) -> None:
    out = Path(made["outs"][0])
    sources = read([("a", Plan.load(out / "plan.json"), Ledger(out / "ledger"))])
    line = boards(sources, score_documents(sources), [[]])[0].best
    assert line.cell.cell.configuration == "epochs=3"
    for dataset, rule, verdict in (
        ("megc2019", "last", "no"),
        ("blobs", "oracle-subject", "no"),
        ("blobs", "oracle-epoch, mean of folds", "no"),
        ("blobs", "not stated", "with care"),
        ("blobs", "last", "with care"),
    ):
        assert comparable(line, Published(dataset, 0.7, 0.7, rule, "paper"))[0] == verdict, rule


def test_literature_is_whole() -> None:
    known = references.entries()
    cited = {*references.DATASETS.values(), *references.LISTS.values()}
    cited |= {
        key for name in ("rcn_a", "off_tanet_bot", "htnet_fixed", "ststnet_table") if (key := references.of_model(name))
    }
    assert cited <= known.keys()
    assert references.of_model("majority") is None
    assert references.short("liong2019ststnet") == "Liong et al., 2019"
    assert references.short("phipson2010") == "Phipson and Smyth, 2010"
    for entry in known.values():
        assert entry.count("{") == entry.count("}")
        assert re.search(r"^  (author|title|year) = ", entry, re.MULTILINE)


def test_nothing_is_a_command_of_latex_by_accident() -> None:
    assert latex.escaped("50 % of a_b & {c} \\d ~ ^ # $") == (
        r"50 \% of a\_b \& \{c\} \textbackslash{}d \textasciitilde{} \textasciicircum{} \# \$"
    )

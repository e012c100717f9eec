"""`mer claim`: where a published figure lies, in words that are no stronger than the intervals; and the commands."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from altered import contents, edited

import orchestrator as mer
from mer_data.problems import BadInput
from orchestrator.cli import commands as cli
from orchestrator.console import Console
from orchestrator.output.results import open_results
from orchestrator.report.claims import claims_document


def claimed(path: Path, uf1: float, model: str = "ststnet", dataset: str | None = None) -> dict[str, Any]:
    (claim,) = claims_document(*open_results(path, Console()), uf1, model, dataset, partial=False)["claims"]
    return claim


def test_a_figure_is_placed_among_honest_and_oracle_scores(listed: Path) -> None:
    rules = claimed(listed, 0.5)["rules"]
    assert [rule["rule"] for rule in rules] == ["last", "oracle-epoch", "oracle-subject"]
    row = json.loads(contents(listed)["score.json"])["rows"][0]
    assert (rules[0]["uf1"], rules[0]["uf1_seed_range"]) == (row["uf1"], row["uf1_seed_range"])
    assert rules[0]["uf1_interval"] == tuple(row["uf1_interval"])
    low, high = rules[0]["uf1_interval"]
    assert high < rules[2]["uf1_interval"][1] < 1
    between = f"{low:.2f}-{high:.2f}"
    said = claimed(listed, low - 0.01)["words"]
    assert said.endswith(
        f"lies below the honest interval {between}: ours is better without choosing anything on the test subjects."
    )
    assert f"inside the honest interval {between}: " in claimed(listed, (low + high) / 2)["words"]
    epoch, subject = (rule["uf1_interval"] for rule in rules[1:])
    assert high < epoch[0] < epoch[1] < subject[1]
    said = claimed(listed, (high + epoch[0]) / 2)["words"]
    assert f"above the honest interval {between} and below that of the oracle per epoch, " in said
    assert said.endswith("choosing one epoch for all on the test subjects gives more than that.")
    said = claimed(listed, epoch[1])["words"]
    assert f"above the honest interval {between} and inside that of the oracle per epoch, " in said
    assert said.endswith(": it is what choosing one epoch for all on the test subjects gives.")
    said = claimed(listed, subject[1])["words"]
    assert "inside that of the oracle per subject, " in said
    assert said.endswith(": it is what choosing the epoch of each fold on its test subject gives.")
    said = claimed(listed, 0.9999)["words"]
    assert "above that of the oracle per subject" in said
    assert "choosing epochs on the test subjects does not give it here" in said


def test_without_epochs_to_choose_from_there_is_no_oracle(listed: Path) -> None:
    document = claimed(listed, 0.999, "majority")
    assert [rule["rule"] for rule in document["rules"]] == ["last"]
    assert "Folds kept one epoch each" in document["words"]


def test_what_there_is_no_result_of(listed: Path) -> None:
    for model, dataset, what in (
        ("ststnt", None, "did you mean 'ststnet'"),
        ("ststnet", "blob", "no results of ststnet on 'blob'"),
    ):
        with pytest.raises(BadInput, match=what):
            claimed(listed, 0.5, model, dataset)


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    return int(str(stopped.value.code or 0)), told.out, told.err


def test_commands_take_capsules_like_folders(
    listed: Path, listed_out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ["score", "--json"],
        ["status", "--json"],
        ["claim", "--json", "--uf1", "0.9", "--model", "ststnet"],
    ):
        command, *options = arguments
        status, of_capsule, _ = ran(capsys, command, listed, *options)
        assert (status, of_capsule) == ran(capsys, command, listed_out, *options)[:2]
        assert status == 0
    assert json.loads(ran(capsys, "score", listed, "--json")[1]) == json.loads(contents(listed)["score.json"])
    status, out, _ = ran(capsys, "compare", listed, "--csv")
    assert (status, out) == ran(capsys, "compare", listed_out, "--csv")[:2]
    assert mer.open(listed).predictions().equals(mer.open(listed_out).predictions())
    lines = ran(capsys, "claim", listed, "--uf1", "0.9", "--model", "ststnet", "--csv")[1].splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("model,dataset,configuration,complete,all_epochs,claim_uf1,rule,oracle,uf1,uf1_low,")
    status, out, _ = ran(capsys, "claim", listed, "--uf1", "0.9", "--model", "ststnet")
    assert (status, "oracle per subject" in out, "95 %: of the UF1" in out) == (0, True, True)
    status, _, err = ran(capsys, "track", "sync", listed)
    assert (status, "is a capsule" in err) == (2, True)


def test_from_folder_to_capsule_to_verdict(
    listed_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.mer"
    assert ran(capsys, "capsule", listed_out, path)[0] == 0
    status, out, err = ran(capsys, "verify", path)
    assert (status, err) == (0, "")
    assert out.startswith("verified: 24 jobs, ")
    assert out.count("\n") == 1
    false = edited(path, tmp_path / "b.mer", "score.json", lambda score: score["rows"][0].update(uf1=0.99))
    status, out, err = ran(capsys, "verify", false)
    assert (status, out) == (2, "")
    assert err.startswith(f"{false}, score.json: rows ststnet blobs all, uf1 is 0.99, computed anew 0.")
    status, out, _ = ran(capsys, "verify", false, "--json")
    document = json.loads(out)
    assert (status, document["verified"], len(document["problems"]), document["jobs"]) == (2, False, 1, 24)
    assert ran(capsys, "merge", path, path, "--to", tmp_path / "c.mer")[0] == 0
    assert (tmp_path / "c.mer").read_bytes() == path.read_bytes()
    status, _, err = ran(capsys, "merge", path, false, tmp_path / "none.mer", "--to", tmp_path / "d.mer")
    assert (status, "none.mer: no such file" in err) == (2, True)
    status, _, err = ran(capsys, "verify", listed_out)
    # An output folder is looked at as well; this one was made without the files of its folds.
    assert (status, "splits-blobs.csv: no such file" in err) == (2, True)
    shutil.rmtree(tmp_path)

"""The ledger keeps what was committed, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mer_data.problems import BadInput
from orchestrator.output.ledger import Conflict, FoldResult, Ledger


def result(job_id: str = "a" * 20, epochs: int = 4, clips: int = 3) -> FoldResult:
    logits = np.random.default_rng(0).normal(size=(epochs, clips, 3)).astype(np.float32)
    names = tuple(f"casme2/sub01/EP{index}" for index in range(clips))
    return FoldResult(job_id, names, tuple(range(1, epochs + 1)), logits, 1.5, "cpu", {"torch": "2"})


@pytest.mark.parametrize(("epochs", "clips"), [(4, 3), (1, 3), (1, 1), (4, 1)])
def test_what_is_committed_can_be_read(tmp_path: Path, epochs: int, clips: int) -> None:
    ledger, wrote = Ledger(tmp_path), result(epochs=epochs, clips=clips)
    ledger.commit(wrote)
    read = ledger.read(wrote.job_id)
    np.testing.assert_array_equal(read.logits, wrote.logits)
    assert replace(read, logits=wrote.logits) == wrote
    assert ledger.ids() == {wrote.job_id}


def test_committing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.commit(result())
    before = (tmp_path / f"{'a' * 20}.arrow").read_bytes()
    ledger.commit(replace(result(), seconds=9.0))
    assert (tmp_path / f"{'a' * 20}.arrow").read_bytes() == before
    assert ledger.conflicts() == []


def test_a_different_second_result_is_kept_as_a_conflict(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.commit(result())
    with pytest.raises(Conflict, match="twice with different results"):
        ledger.commit(replace(result(), logits=result().logits + 1))
    assert ledger.conflicts() == ["a" * 20]
    np.testing.assert_array_equal(ledger.read("a" * 20).logits, result().logits)


@pytest.mark.parametrize("wrong", [np.full((4, 3, 3), np.nan, np.float32), np.zeros((3, 3, 3), np.float32)])
def test_impossible_results_are_refused(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="logits"):
        Ledger(tmp_path).commit(replace(result(), logits=wrong))
    assert Ledger(tmp_path).ids() == set()


def test_a_result_has_no_labels(tmp_path: Path) -> None:
    assert not any("label" in field or "true" in field for field in FoldResult.__dataclass_fields__)


def test_every_truncation_and_every_flipped_logit_is_noticed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.commit(result())
    path = tmp_path / f"{'a' * 20}.arrow"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match="delete it and run the same command again"):
            ledger.read("a" * 20)
    at = whole.index(np.ascontiguousarray(result().logits.swapaxes(0, 1)).tobytes())
    path.write_bytes(whole[: at + 5] + bytes([whole[at + 5] ^ 1]) + whole[at + 6 :])
    with pytest.raises(BadInput, match="checksum is wrong"):
        ledger.read("a" * 20)


def test_failures_are_remembered_until_the_job_succeeds(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record_failure("a" * 20, "loss diverged")
    assert ledger.failures() == {"a" * 20: "loss diverged"}
    ledger.commit(result())
    assert ledger.failures() == {}


def test_leftovers_of_a_killed_writer_are_no_entries(tmp_path: Path) -> None:
    (tmp_path / f".{'a' * 20}.arrow.host.1.tmp").write_bytes(b"half")
    assert Ledger(tmp_path).ids() == set()

"""The report of a GPU, made on a processor: that it works, not what it says."""

import json
from pathlib import Path

import pytest
from benchmarks import gpu_report


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="sees no GPU here"):
        gpu_report.main([])


def test_the_page_shows_every_network_with_its_figures_or_words() -> None:
    networks = [{"network": "a", "plain": 3.5, "gaps": {"graph": 0.0}}, {"network": "b", "plain": "did <not> work"}]
    page = gpu_report.page(
        {"device": "Test GPU", "torch": "2", "tests": "5 passed", "seconds": 9, "networks": networks}
    )
    assert all(text in page for text in ("Test GPU", "5 passed", "<td>3.5</td>", "<td>did &lt;not&gt; work</td>"))


@pytest.mark.slow
def test_the_script_runs_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu_report.main(["--device", "cpu", "--trained", "12", "--networks", "ststnet", "--to", str(tmp_path)])
    report = json.loads((tmp_path / "gpu-report.json").read_text())
    assert "which is no GPU" in report["device"]
    (row,) = report["networks"]
    assert row["gaps"] == {"plain": 0.0, "graph": 0.0, "pack": 0.0}
    assert row["plain"] > 0
    assert (tmp_path / "gpu-report.html").exists()
    gpu_report.main(["--device", "cpu", "--minutes", "0", "--networks", "ststnet", "--to", str(tmp_path)])
    assert "minutes were over" in capsys.readouterr().out

"""Results need a file system: object storage is refused for them, before anything starts."""

from pathlib import Path

import pytest

from orchestrator import cli


@pytest.mark.parametrize(
    ("arguments", "copy"),
    [
        (["run", "demo", "--out", "s3://bucket/runs/x"], "aws s3 sync FOLDER s3://bucket/runs/x"),
        (["demo", "--out", "gs://bucket/x"], "rclone copy FOLDER gs://bucket/x"),
        (["status", "s3://bucket/x"], "aws s3 sync FOLDER s3://bucket/x"),
    ],
)
def test_object_storage_is_refused_for_results(
    arguments: list[str], copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "is no folder" in told
    assert copy in told
    assert not list(tmp_path.iterdir())

"""The published table: every capsule verifies, and the page is what they say."""

from pathlib import Path

import pytest

from orchestrator.cli import commands as cli
from results import make_page

CAPSULES = sorted(make_page.CAPSULES.glob("*.mer"))
pytestmark = pytest.mark.pages


@pytest.mark.parametrize("capsule", CAPSULES, ids=lambda path: path.name)
def test_a_capsule_verifies(capsule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["verify", str(capsule)])
    said = capsys.readouterr()
    assert not stopped.value.code, said.err
    assert "verified" in said.out + said.err


def test_the_page_is_made_from_the_capsules() -> None:
    assert make_page.PAGE.read_text(encoding="utf-8") == make_page.made(), "type: python results/make_page.py"


def test_together_they_stay_small() -> None:
    assert sum(path.stat().st_size for path in CAPSULES) < 20_000_000

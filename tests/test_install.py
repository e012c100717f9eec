"""Installing and looking around: what is said first, how fast it answers, what a package page and an image get."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

from mer_data.files import read_json, write_sealed
from orchestrator.cli import commands as cli
from orchestrator.cli import model_cards

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCE = PROJECT["project"]["urls"]["Source"]


def without_fcntl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `mer` where there is no module `fcntl`, as on Windows."""
    code = f"import sys; sys.modules['fcntl'] = None\nfrom orchestrator.cli.commands import main\nmain({arguments!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_windows_is_told_in_one_line() -> None:
    done = without_fcntl("run", "demo")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Linux, macOS and WSL 2" in done.stderr
    assert without_fcntl("--help").returncode == 0


def commands_of_make(tmp_path: Path, uv: bool, *arguments: str) -> str:
    """What `make` would do for a new environment, with or without `uv` on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    if uv:
        (folder / "uv").write_text("#!/bin/sh\n")
        (folder / "uv").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}
    command = ["make", "--dry-run", "--always-make", ".venv/ready", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment).stdout


def test_make_lets_uv_choose_the_build_of_pytorch(tmp_path: Path) -> None:
    told = commands_of_make(tmp_path, True)
    assert "uv pip install --python .venv/bin/python --torch-backend=auto --constraint constraints.txt" in told


def test_make_says_the_size_and_lets_pip_show_its_progress(tmp_path: Path) -> None:
    told = commands_of_make(tmp_path, False, "TORCH_INDEX=PLACE")
    assert "pip install --extra-index-url PLACE --constraint" in told
    assert "0.8 GB" in told
    assert "--quiet" not in told


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MER_CACHE", str(tmp_path))
    return tmp_path / "models.json"


def test_what_is_remembered_holds_for_this_code_only(cache: Path) -> None:
    told = model_cards.models_document(["ststnet"])
    known = read_json(cache, "")
    write_sealed(cache, {**known, "found": [{**row, "params": 7} for row in known["found"]]})
    assert model_cards.models_document(["ststnet"])["rows"][0]["params"] == 7, "the same code: it is read"
    assert model_cards.models_document(["ststnet"], own=True) == told, "the user's own models: it is not"
    write_sealed(cache, {**known, "of": {"the project's code": "other"}})
    assert model_cards.models_document(["ststnet"]) == told


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes(shell: str) -> None:
    page = (ROOT / "docs/first-run.md").read_text(encoding="utf-8")
    assert f"_MER_COMPLETE={shell}_source mer" in page
    place = "sco" if shell == "fish" else "1"  # fish gives the word itself
    environment = {**os.environ, "_MER_COMPLETE": f"{shell}_complete", "COMP_WORDS": "mer sco", "COMP_CWORD": place}
    script = Path(sys.executable).with_name("mer")
    done = subprocess.run([script], capture_output=True, text=True, env=environment)
    assert "score" in done.stdout


def test_a_package_page_says_who_where_and_what() -> None:
    project = PROJECT["project"]
    assert project["authors"]
    assert {"Source", "Documentation", "Changelog", "Issues"} <= set(project["urls"])
    assert "Intended Audience :: Science/Research" in project["classifiers"]


def links(text: str) -> set[str]:
    return set(re.findall(r"\]\(([^)#\s]+)", text))


def test_links_lead_somewhere_here_and_on_a_package_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    here = {link for link in links(readme) if "://" not in link}
    assert here
    assert [link for link in here if not (ROOT / link).exists()] == []
    for rule in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        readme = re.sub(rule["pattern"], rule["replacement"], readme)
    there = links(readme)
    assert [link for link in there if "://" not in link] == []
    for link in here:
        kind = "raw" if link.endswith((".png", ".svg")) else "blob"
        assert f"{SOURCE}/{kind}/main/{link}" in there


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["project"]["version"] == metadata("mer-orchestrator")["Version"]
    assert citation["repository-code"] == SOURCE
    assert citation["license"] == PROJECT["project"]["license"]


def test_what_the_image_copies_is_sent_to_it() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [line.split()[1:-1] for line in (ROOT / "cluster/Dockerfile").read_text().splitlines() if "COPY" in line]
    assert {word for words in copied for word in words} == sent


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")), ids=lambda p: p.stem)
def test_issue_forms_have_what_a_form_must_have(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    fields = [item for item in form["body"] if item["type"] != "markdown"]
    assert len({item["id"] for item in fields}) == len(fields) > 1
    assert all(item["attributes"]["label"] for item in fields)


def test_contributing_says_how() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for words in ("## A model", "## A dataset", "## A feature", "## Tests", "make test", "make lint"):
        assert words in text
    assert [link for link in links(text) if "://" not in link and not (ROOT / link).exists()] == []


def test_the_commands_have_a_line_of_help() -> None:
    assert [name for name, command in cli.mer.commands.items() if not command.get_short_help_str()] == []

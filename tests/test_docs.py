"""Every command of every page runs, what it says it prints is printed, links lead somewhere, nothing stands twice."""

import contextlib
import io
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import yaml
from blobs import blob_clips, write_blobs
from ledgers import commit, knowing, plan_for

from mer_data.storage.store import Store
from orchestrator.cli import commands as cli
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment
from orchestrator.output.ledger import Ledger
from orchestrator.report.capsules import make_capsule

ROOT = Path(__file__).resolve().parents[1]
SITE = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
PAGES = ["README.md", "README.zh.md", "CONTRIBUTING.md", *SITE]
# These have tests of their own: tests/orchestrator/experiment/test_user_models.py; of the clusters tests/cluster. The
# commands of the Chinese page are those of the first page, as a test below says.
ELSEWHERE = {"docs/add-a-model.md", "docs/clusters.md", "README.zh.md"}
SHORT = ("--set", "recipes={all: {epochs: 1}}", "--set", "seeds=[0]", "--set", "search=null")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)


def named_files(page: str) -> dict[str, str]:
    """Blocks that the text before them gives a file's name: "Save this as `mine.py`:", "with `mine.yaml`:"."""
    found = re.findall(r"`([\w-]+\.(?:py|yaml))`[:：]\n\n```(?:python|yaml)\n(.*?)^```$", text_of(page), re.M | re.S)
    return dict(found)


def made_up(runs: Path) -> None:
    """Output folders that pages speak of, without training."""
    store = Store(runs.parent / "elsewhere")
    write_blobs(store, "blobs", blob_clips())
    skills = {"ststnet": 0.9, "off_apexnet": 0.6, "majority": 0.4}
    wanted = {
        "demo": ["ststnet", "majority"],
        "megc2019": ["ststnet", "off_apexnet"],
        "two-datasets": ["ststnet", "majority"],
        "one": ["ststnet", "majority"],
        "other": ["off_apexnet"],
        "recipes": ["ststnet"],
        "searched": ["off_apexnet"],
        "ours": ["ststnet"],
        "theirs": ["off_apexnet"],
    }
    for name, models in wanted.items():
        plan = plan_for(store, models=models)
        plan.save(runs / name / "plan.json")
        commit(plan, Ledger(runs / name / "ledger"), knowing(skills))
    for name in ("ours", "theirs"):
        make_capsule(str(runs / name), runs.parent / f"{name}.mer", Console(), every=1, partial=False)


def with_datasets(folder: Path) -> None:
    """The folders that the first page imports, as twins."""
    few = ("--subjects", "3", "--clips", "9")
    for arguments in (("casme2", "CASME2"), ("samm", "SAMM"), ("htnet", "HTNET")):
        mer("data", "make", *arguments, *few)
    for path in Path("HTNET").rglob("*"):
        if path.name in ("STSNet_whole_norm_u_v_os", "combined_3_class2_for_optical_flow.csv"):
            shutil.move(path, path.name)


PREPARE: dict[str, Callable[[Path], None]] = {
    "README.md": with_datasets,
    "docs/first-run.md": lambda folder: made_up(folder / "runs"),
    "docs/report.md": lambda folder: made_up(folder / "runs"),
    "docs/results-files.md": lambda folder: made_up(folder / "runs"),
    "docs/capsules.md": lambda folder: made_up(folder / "runs"),
    "docs/results.md": lambda folder: (folder / "results").symlink_to(ROOT / "results"),
}


def mer(*arguments: str) -> tuple[int, str]:
    """Exit status and standard output of a command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as stopped:
        cli.main(list(arguments))
    return int(stopped.value.code or 0), out.getvalue()


def run_line(page: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run one line of a page; a comment "refused: WORDS" tells how it must end."""
    words = shlex.split(line, comments=True)
    if not words:
        return
    program, *arguments = ("runs/two-datasets" if word == "OUT" else word for word in words)
    refused = re.search(r"# refused: (.+)$", line)
    if program == "make":
        assert re.search(rf"^{arguments[0]}:", text_of("Makefile"), re.MULTILINE), line
        return
    if program == "python":
        runpy.run_path(arguments[0])
        return
    assert program == "mer", f"{page}: {line}"
    if arguments == ["demo"]:
        return  # minutes; tests/orchestrator/test_run.py runs the same steps
    arguments, to = (arguments[:-2], arguments[-1]) if ">" in arguments else (arguments, None)
    arguments = ["ststnet" if word == "htnet" and arguments[0] == "claim" else word for word in arguments]
    if arguments[0] == "run" and page == "README.md":
        arguments += SHORT
    capsys.readouterr()
    status, out = mer(*arguments)
    said = out + capsys.readouterr().err
    assert status == (2 if refused else 0), f"{page}: {line}\n{said}"
    assert refused is None or refused[1] in said
    if to:
        Path(to).write_text(out)


@pytest.mark.pages
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE and blocks(page, "sh")])
def test_every_command_of_a_page_runs(
    ray_session: None, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mer_data.files._flush", lambda path: None)
    PREPARE.get(page, lambda folder: None)(tmp_path)
    for name, text in named_files(page).items():
        Path(name).write_text(text)
    if page == "docs/add-a-dataset.md":
        draw_frames(tmp_path / "MINE", named_files(page)["mine.py"])
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            run_line(page, line, capsys)


def draw_frames(root: Path, script: str) -> None:
    """Five grey frames for each clip that the page's script lists."""
    import cv2
    import numpy as np

    for number, (subject, clip) in enumerate(re.findall(r'\("(\w+)", "(\w+)", "\w+", 1, 3, 5\)', script)):
        folder = root / subject / clip
        folder.mkdir(parents=True)
        for frame in range(1, 6):
            random = np.random.default_rng([number, frame])
            cv2.imwrite(str(folder / f"{frame:05}.png"), random.integers(0, 255, (64, 64), np.uint8))


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE and blocks(page, "python")])
def test_python_on_a_page_prints_what_it_says(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(page, "python"):
        if block in named_files(page).values():
            continue
        exec(block, {})  # noqa: S102 - a page of ours
        printed = capsys.readouterr().out
        promised = re.findall(r"^(?:print\(.*\)  )?# (.+)$", block, re.MULTILINE)
        assert [text for text in promised if text not in printed] == []


@pytest.mark.parametrize("page", PAGES)
def test_experiment_files_on_a_page_are_ones(page: str) -> None:
    for block in blocks(page, "yaml"):
        Experiment.model_validate({"name": "t", "datasets": "all", "models": "all", **yaml.safe_load(block)})


@pytest.mark.parametrize("page", [*PAGES, "cluster/README.md"])
def test_commands_within_text_are_known_with_their_options(page: str) -> None:
    for line in re.findall(r"`(mer [a-z][^`]*)`", text_of(page).replace("\n", " ")):
        command: click.Command = cli.mer
        words = shlex.split(line)[1:]
        while isinstance(command, click.Group) and words:
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_lead_somewhere(page: str) -> None:
    links = {link for link in re.findall(r"\]\(([^)#\s]+)", text_of(page)) if "://" not in link}
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """Strict: a page outside the navigation's reach, a link or a docstring's name that leads nowhere ends it."""
    for name in ("docs", "cluster", "mer_data", "mer_models", "orchestrator"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    program = Path(sys.executable).with_name("zensical")
    done = subprocess.run([program, "build", "--strict"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.parent.name for path in (tmp_path / "site").rglob("index.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"} <= pages
    listed = yaml.safe_load(text_of("mkdocs.yml").split("theme:")[0])["nav"]
    assert {f"docs/{name}" for name in re.findall(r"[\w-]+\.md", str(listed))} == set(SITE)
    python = (tmp_path / "site/python/index.html").read_text(encoding="utf-8")
    assert "The results of an experiment, read from its output folder" in python, "from the docstring"
    assert re.findall(r":(?:func|class|meth|mod|data):", python) == [], "roles of another generator"
    for path in (tmp_path / "site").rglob("*.html"):
        asked = set(re.findall(r'(?:src|href)="(https?://[^"/]+)', path.read_text(encoding="utf-8")))
        assert not {host for host in asked if "font" in host or "cdn" in host}, f"{path} asks somebody's server"


def sentences() -> Iterator[tuple[str, str]]:
    for page in [*PAGES, "cluster/README.md"]:
        prose = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
        for sentence in re.split(r"(?<=[.:;])\s+|\n\n|\|", prose):
            if len(" ".join(sentence.split())) > 70:
                yield " ".join(sentence.split()), page


def test_no_page_repeats_another() -> None:
    places = defaultdict(set)
    for sentence, page in sentences():
        places[sentence].add(page)
    assert {sentence: pages for sentence, pages in places.items() if len(pages) > 1} == {}


def test_the_chinese_page_has_the_same_commands() -> None:
    def lines(page: str) -> list[list[str]]:
        found = (shlex.split(line, comments=True) for block in blocks(page, "sh") for line in block.splitlines())
        return [words for words in found if words]

    assert lines("README.zh.md") == lines("README.md")


def test_footguns_show_what_they_warn_of() -> None:
    for section in text_of("docs/footguns.md").split("\n## ")[1:]:
        assert "```sh" in section or "```python" in section, section.splitlines()[0]

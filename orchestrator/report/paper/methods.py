"""The methods paragraph, in English and as LaTeX, with the entries that it cites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.report.paper.boards import Board, Line
from orchestrator.report.paper.latex import escaped
from orchestrator.report.paper.references import DATASETS, LISTS, bibtex, of_model, short
from orchestrator.score.comparison import DRAWS


@dataclass(frozen=True)
class Sentence:
    """A sentence without its full stop, and the keys that it cites at its end."""

    text: str
    cites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Methods:
    """The paragraph in English and in LaTeX, and the BibTeX entries."""

    english: str
    latex: str
    bibtex: str


_HELD_OUT = {
    "loso": "Each subject was held out in turn, and a model was trained on all others",
    "lodo": "Each source dataset was held out in turn, and a model was trained on the others",
    "hde": "A model was trained on one source dataset and tested on another, for every ordered pair of them",
}


def methods(boards: Sequence[Board]) -> Methods:
    """What the methods section of a paper says of these results."""
    sentences = [sentence for board in boards for sentence in _of_board(board)]
    sentences += _of_scores(boards)
    sentences = list(dict.fromkeys(sentences))
    cited = [key for sentence in sentences for key in sentence.cites]
    return Methods(" ".join(map(_english, sentences)), "\n".join(map(_latex, sentences)) + "\n", bibtex(cited))


def _english(sentence: Sentence) -> str:
    cites = f" ({'; '.join(map(short, sentence.cites))})" if sentence.cites else ""
    return f"{sentence.text}{cites}."


def _latex(sentence: Sentence) -> str:
    cites = f"~\\cite{{{','.join(sentence.cites)}}}" if sentence.cites else ""
    return f"{escaped(sentence.text)}{cites}."


def _of_board(board: Board) -> list[Sentence]:
    row, cohort = board.best.row, board.best.cell.cohort
    classes = Counter(cohort.labels)
    counted = ", ".join(f"{name} ({classes[name]})" for name in cohort.classes)
    sources = sorted({who.split("/")[0] for who in cohort.subjects})
    cites = [DATASETS[name] for name in sources if name in DATASETS]
    cites += [LISTS[cohort.scheme]] if cohort.scheme in LISTS else []
    found = [
        Sentence(
            f"We evaluated on {board.dataset}: {row['clips']} clips of {row['subjects']} subjects from "
            f"{_listed(sources)}, in the classes {counted}",
            tuple(dict.fromkeys(cites)),
        )
    ]
    if cohort.missing:
        found.append(Sentence(f"{len(cohort.missing)} clips of the published list {cohort.scheme} were not at hand"))
    found.append(Sentence(_HELD_OUT[row["protocol"]]))
    listed = [line for line in board.models if line.cell.searched is None]
    if listed:
        found.append(_trained(listed))
    searched = [line for line in board.models if line.cell.searched is not None]
    if searched:
        found.append(_chosen(searched))
    return found


def _seeds(lines: Sequence[Line]) -> str:
    counts = Counter(line.row["seeds"] for line in lines)
    if len(counts) > 1:
        return _listed([f"{line.row['seeds']} ({line.name})" for line in lines]) + " random seeds"
    (seeds,) = counts
    return f"{seeds} random seeds" if seeds > 1 else "one random seed"


def _trained(lines: Sequence[Line]) -> Sentence:
    told = [f"{line.name} ({line.settings})" if line.settings else line.name for line in lines]
    names = [line.name for line in lines]
    cites = dict.fromkeys(key for line in lines if (key := of_model(line.cell.cell.model)))
    return Sentence(
        f"With the published settings{', and the changes in brackets' if told != names else ''}, we trained "
        f"{_listed(told)}, with {_seeds(lines)}, and took the answers of the last epoch",
        tuple(cites),
    )


def _chosen(lines: Sequence[Line]) -> Sentence:
    told = []
    for line in lines:
        search = line.row["search"]
        count = search["configurations"]["proposed"] // max(search["groups"] * line.row["seeds"], 1)
        told.append(f"{line.name} ({count} configurations, {search['groups']} groups)")
    cites = dict.fromkeys(key for line in lines if (key := of_model(line.cell.cell.model)))
    return Sentence(
        f"The settings and the number of epochs of {_listed(told)} were chosen for each group of held-out subjects by "
        f"cross-validation over all other subjects, with {_seeds(lines)}; no clip of a group took part in a choice "
        "made for it",
        tuple(cites),
    )


def _of_scores(boards: Sequence[Board]) -> list[Sentence]:
    found = [
        Sentence(
            "We report the unweighted F1 score (UF1) and the unweighted average recall (UAR), computed from the "
            "confusion matrix pooled over all held-out clips and averaged over seeds",
            ("see2019megc",),
        ),
        Sentence(
            "Intervals are expanded 95 % percentile intervals over 2,000 draws of subjects with replacement within "
            "each source dataset",
            ("hesterberg2015",),
        ),
    ]
    if any(len(board.lines) > 1 for board in boards):
        found.append(
            Sentence(
                f"Models were compared by swapping all answers of random subjects between two models ({DRAWS:,} draws, "
                "or all swaps of few subjects), with Holm's correction over all pairs of models",
                ("yeh2000", "phipson2010", "holm1979"),
            )
        )
    if any((line.row["search"] or {}).get("bbc") for board in boards for line in board.lines):
        found.append(
            Sentence(
                "The score of the best configuration was corrected for the choice by bootstrapping its answers",
                ("tsamardinos2018",),
            )
        )
    return found


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

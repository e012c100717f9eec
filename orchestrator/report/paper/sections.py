"""The sections of the report, in their order: what is told, which figures and tables stand there, what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.report.paper import answer_charts, literature, score_charts, scores, search_charts, searched
from orchestrator.report.paper.boards import Board
from orchestrator.report.paper.documents import Prose, Table
from orchestrator.report.paper.drawing import Picture, style
from orchestrator.report.paper.material import material
from orchestrator.report.paper.scores import named


@dataclass(frozen=True)
class Section:
    """A section.

    Attributes
    ----------
    anchor, title
        Its address in the page, and its heading.
    told
        Paragraphs: what is seen here, how to read it, and what is not known.
    pictures, tables
        What it shows.
    folded
        Tables that are shown when asked for: what a figure shows, as numbers.
    """

    anchor: str
    title: str
    told: Sequence[Prose] = ()
    pictures: Sequence[Picture | None] = ()
    tables: Sequence[Table | None] = ()
    folded: Sequence[Table] = field(default=())

    def all_tables(self) -> list[Table]:
        """Those with anything in them."""
        return [table for table in (*self.tables, *self.folded) if table is not None and table.rows]


def sections(board: Board) -> list[Section]:
    """Everything that is told of a dataset."""
    told = (
        _scores,
        _differences,
        _ranks,
        _confusion,
        _subjects,
        _epochs,
        _search,
        _published,
        _cost,
        _data,
    )
    with style():
        return [section(board) for section in told]


def _scores(board: Board) -> Section:
    published = literature.on_this_dataset(board)
    told: list[Prose] = [
        [
            "Dot: UF1. Line: 95 % interval if other subjects were drawn. Short strokes: the seeds. Band: 95 % of "
            "tables of guesses by class frequency. Bold: not separable from the best."
            + (" Hollow diamond: a published figure, with the rule by which its epoch was chosen." if published else "")
        ]
    ]
    told += [guessed] if (guessed := scores.of_guesses(board)) else []
    if not published:
        told.append(["No figure published on this clip list is known for these models, so none is drawn."])
    picture = score_charts.forest(board, published, named(board, "forest"))
    table = scores.main_table(board)
    folded = [scores.ensemble_table(board)]
    return Section(named(board, "scores"), "Scores", told, [picture], [table], folded)


def _differences(board: Board) -> Section:
    anchor, title = named(board, "differences"), "Paired differences"
    if len(board.lines) < 2:
        return Section(anchor, title, [["There is one model, so nothing is compared."]])
    found = board.documents.at(board.pairs)
    told: list[Prose] = [
        [
            "UF1 of the row less UF1 of the column, on the same subjects. Blue: the row is better; grey: worse. Bold: "
            f"told apart by the swap test at {100 * found['level']:g} %, with Holm's correction over all "
            f"{found['family']} pairs."
        ]
    ]
    words = {frozenset((pair["model"], pair["reference"])): pair["words"] for pair in found["comparisons"]}
    told += [[f"{words[frozenset((board.best.name, line.name))]}."] for line in board.lines[1:4] if not line.baseline]
    if _disagree(board):
        told.append(
            [
                "The bold names of the scores ask about pairs with the best model only, as mer score does, and are "
                "stricter: a model may be bold there whose difference from the best is told apart here."
            ]
        )
    return Section(anchor, title, told, [score_charts.differences(board, named(board, "differences"))], (),
                   [scores.pair_table(board)])  # fmt: skip


def _disagree(board: Board) -> bool:
    """Whether a model is not separable from the best in one place, and told apart from it in another."""
    found = board.documents.at(board.pairs)
    apart = {
        frozenset((pair["model"], pair["reference"]))
        for pair in found["comparisons"]
        if pair["p_holm"] <= found["level"]
    }
    return any(line.tied and frozenset((line.name, board.best.name)) in apart for line in board.lines[1:])


def _ranks(board: Board) -> Section:
    anchor, title = named(board, "ranks"), "Stability of the ranks"
    if len(board.lines) < 2:
        return Section(anchor, title, [["There is one model, so there are no ranks."]])
    told = ["How often a model takes each rank by UF1 in 2,000 draws of subjects, the same draws for all models."]
    picture = score_charts.ranks(board, scores.stability(board), named(board, "ranks"))
    return Section(anchor, title, [told], [picture])


def _confusion(board: Board) -> Section:
    told = ["Rows: true class; columns: answer; in % of the true class, over all seeds. The diagonal is the recall. "]
    absent = [name for name in board.best.row["classes"] if name not in board.best.row["classes_scored"]]
    told += [f"No clips of {', '.join(absent)}: scores are means over the other classes."] if absent else []
    picture = answer_charts.confusion(board, named(board, "confusion"))
    return Section(named(board, "confusion"), "Confusion of the classes", [told], [picture], (),
                   [scores.class_table(board)])  # fmt: skip


def _subjects(board: Board) -> Section:
    people = scores.people(board)
    told = [
        "Share of each subject's clips that a model finds, over all seeds; the hardest subjects on top, by the mean "
        "over models without baselines. The stronger the colour, the more are found."
    ]
    missed = scores.missed_table(board)
    said: list[Prose] = [told]
    if not missed.rows:
        said.append(["Every clip is found by some model with some seed."])
    picture = answer_charts.subjects(board, people, named(board, "subjects"))
    return Section(named(board, "subjects"), "Subjects and clips", said, [picture], [missed],
                   [scores.subject_table(board, people)])  # fmt: skip


def _epochs(board: Board) -> Section:
    found, others = scores.epochs(board)
    anchor, title = named(board, "epochs"), "Scores after each epoch"
    if not found:
        return Section(anchor, title, [["Every model kept one epoch only, so there is no curve."]])
    told = [
        "UF1 on the held-out subjects after each kept epoch, a line per seed. Nothing is chosen here: the ring is the "
        "last epoch, which was taken; strokes below are the epochs that searches chose without these subjects. To take "
        "the highest point would be an oracle."
    ]
    said: list[Prose] = [told, *([[others]] if others else [])]
    return Section(anchor, title, said, [answer_charts.curves(board, found, named(board, "epochs"))])


def _search(board: Board) -> Section:
    found = searched.searches(board)
    anchor, title = named(board, "search"), "Search"
    if not found:
        none = "No model was searched, so nothing was chosen, and there is no optimism."
        return Section(anchor, title, [[none]])
    optimism, why_not = searched.optimism_table(board)
    told: list[Prose] = [
        [
            "Each group of held-out subjects has a search of its own that sees no clip of it. Dots: configurations "
            "that went through all divisions; hollow: stopped or failed; lines: the best so far of a group."
        ]
    ]
    told += [[why_not]] if why_not else []
    pictures: list[Picture | None] = []
    for number, search in enumerate(found, 1):
        pictures.append(search_charts.progress(search.model, search.studies, named(board, f"search-{number}")))
        pictures.append(
            search_charts.parallel(search.model, search.studies, search.space, named(board, f"tried-{number}"))
        )
    return Section(anchor, title, told, pictures, [optimism, searched.chosen_table(board, found)])


def _published(board: Board) -> Section:
    table, told = literature.published_table(board)
    said: list[Prose] = [*([claim] for claim in literature.claims(board)), *([[told]] if told else [])]
    return Section(named(board, "published"), "Published figures and ours", said, (), [table])


def _cost(board: Board) -> Section:
    found, told = literature.costs(board)
    said: list[Prose] = [[told]] if told else []
    if found:
        said.insert(0, ["Filled: no other network is better at the same or less cost; the line joins these."])
    picture = score_charts.cost(board, found, named(board, "cost"))
    return Section(named(board, "cost"), "Score and cost", said, [picture], [literature.cost_table(board, found)])


def _data(board: Board) -> Section:
    found = material(board)
    picture = answer_charts.clips_per_subject(board.dataset, found.per_subject, named(board, "clips"))
    missing = board.best.cell.cohort.missing
    told: list[Prose] = [[found.told]] if found.told else []
    if missing:
        some = ", ".join(missing[:8]) + (" and others" if len(missing) > 8 else "")
        told.append([f"{len(missing)} clips of the published list are not in the store: {some}."])
    tables = [found.classes, found.apexes, found.left_out, found.corrections]
    return Section(named(board, "data"), "Data", told, [picture], tables)

"""Figures of interleaved rounds as tables: medians, ratios taken round by round, and whether the goals are met."""

import statistics
from dataclasses import dataclass, field

__all__ = ["Row", "as_json", "as_text"]

_COMPARED = ("haproxy", "direct")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one case.

    Attributes:
        case: the load.
        metric: which figure, with its unit.
        rounds: for each target the figure in each round.
    """

    case: object
    metric: str
    rounds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, target):
        return statistics.median(self.rounds[target])

    def ratios(self, target, other):
        """Round by round, so that what slows down a whole round is not seen; none where either was not measured."""
        pairs = zip(self.rounds.get(target, ()), self.rounds.get(other, ()), strict=False)
        return [one / another for one, another in pairs if another]

    def verdicts(self):
        """Each goal that was measured, with the figure that decides and whether it will do."""
        for goal in self.case.goals:
            if goal.metric != self.metric or not self.rounds.get(goal.target):
                continue
            values = (
                self.rounds[goal.target] if goal.against is None else self.ratios(goal.target, goal.against)
            )
            if values:
                figure = statistics.median(values)
                yield goal, figure, goal.is_met_by(figure)


def as_text(rows, targets):
    """Both tables, in Markdown."""
    medians = [["case", "", *targets]]
    ratios = [["case", "", "target", *(f"of {other}" for other in _COMPARED), "asked for", ""]]
    for row in rows:
        measured = [target for target in targets if row.rounds.get(target)]
        if not measured:
            continue
        medians.append(
            [row.case.name, row.metric]
            + [_number(row.median(target)) if target in measured else "" for target in targets]
        )
        verdicts = {goal.target: (goal, figure, met) for goal, figure, met in row.verdicts()}
        for target in measured:
            if target in _COMPARED:
                continue
            cells = [_spread(row.ratios(target, other)) for other in _COMPARED]
            if not any(cells) and target not in verdicts:
                continue
            asked = met = ""
            if target in verdicts:
                goal, figure, good = verdicts[target]
                asked = f"{'≤' if goal.is_most else '≥'} {goal.bound:g}"
                asked += f" of {goal.against}" if goal.against else ""
                met = f"{'met' if good else 'MISSED'}: {_number(figure)}"
            ratios.append([row.case.name, row.metric, target, *cells, asked, met])
    return f"{_markdown(medians)}\n\n{_markdown(ratios)}"


def as_json(rows):
    """Everything that was measured, for programs."""
    return [
        {
            "case": row.case.name,
            "metric": row.metric,
            "rounds": row.rounds,
            "medians": {target: row.median(target) for target in row.rounds},
            "goals": [
                {
                    "target": goal.target,
                    "against": goal.against,
                    "bound": goal.bound,
                    "is_most": goal.is_most,
                    "figure": figure,
                    "met": met,
                }
                for goal, figure, met in row.verdicts()
            ],
        }
        for row in rows
    ]


def _number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _spread(ratios):
    if not ratios:
        return ""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _markdown(lines):
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )

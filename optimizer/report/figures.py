"""The report's figures: drawn by matplotlib, then made to follow the page's colours and fonts.

Matplotlib comes with MLflow, draws axes that are right, and writes SVG; what it does not do is dark mode and a
Content-Security-Policy without inline styles. So colours are drawn as roles and become the page's variables, styles
become attributes, and each figure carries a title and a description.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Tree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from optimizer.ledger.trials import Trial
    from optimizer.report.importance import Importance

# What a colour means; the page's style sheet says what it is, in light and in dark.
ROLES = {role: f"#{n:06}" for n, role in enumerate(("ink", "grid", "after", "before", "other"), 1)}
# Role and marker; everything else is ("other", "o").
_SIDES = {"seed": ("before", "s"), "untuned": ("before", "s"), "winner": ("after", "D")}
WIDTH = 5.2  # inches; so narrow that its text can still be read on a phone
_VARIABLES = {colour: f"var(--{role})" for role, colour in ROLES.items()}
_SVG = "http://www.w3.org/2000/svg"
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ROLES["ink"]),
    "axes.facecolor": "none",
    "grid.color": ROLES["grid"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def curve(points: Sequence[tuple[int, float, int]], title: str, description: str) -> str:
    """Return the best score so far against calls, as steps."""

    def draw(axes: Axes) -> None:
        calls, scores = [point[0] for point in points], [point[1] for point in points]
        axes.step(calls, scores, "o-", where="post", color=ROLES["after"], linewidth=2, markersize=5, clip_on=False)
        axes.set(xlabel="calls of the search", ylabel="best validation score", xlim=(0, None))
        _unit(axes, scores)

    return _svg("curve", draw, title, description)


def scatter(
    trials: Sequence[Trial],
    front: Sequence[Trial],
    marked: dict[str, str],
    title: str,
    description: str,
    key: str = "scatter",
    unit: str = "tokens a call",
) -> str:
    """Return score against cost, with the Pareto front; `marked` names candidates by id, `key` the figure.

    The cost is the trials' `tokens`, or what a caller put in their place, in a `unit`.
    """

    def draw(axes: Axes) -> None:
        costs, scores = [t.tokens or 0.0 for t in front], [t.score or 0.0 for t in front]
        axes.step(costs, scores, where="post", color=ROLES["other"], label="Pareto front")
        for trial in trials:
            name = marked.get(trial.candidate.id)
            role, marker = _SIDES.get(name or "", ("other", "o"))
            score, low, high = trial.score or 0.0, trial.low or 0.0, trial.high or 1.0
            away = [[max(0.0, score - low)], [max(0.0, high - score)]]
            size, line = (4, 0.8) if role == "other" else (7, 1.6)
            axes.errorbar(
                [trial.tokens or 0.0],
                [score],
                yerr=away,
                fmt=marker,
                markersize=size,
                elinewidth=line,
                color=ROLES[role],
                label=name,
                clip_on=False,
            )
        axes.set(xlabel=unit, ylabel="validation score, 95 % interval", xlim=(0, None))
        _unit(axes, [t.low or 0.0 for t in trials] + [t.high or 1.0 for t in trials])
        axes.legend(loc="best")

    return _svg(key, draw, title, description)


def bars(dimensions: Sequence[Importance], title: str, description: str) -> str:
    """Return the importance of each dimension as bars, with the range over resampled trials."""

    def draw(axes: Axes) -> None:
        names, shares = [d.name for d in dimensions], [d.share for d in dimensions]
        away = [[max(0.0, d.share - d.low) for d in dimensions], [max(0.0, d.high - d.share) for d in dimensions]]
        axes.barh(names, shares, color=ROLES["after"], height=0.6)
        axes.errorbar(shares, names, xerr=away, fmt="none", color=ROLES["ink"], elinewidth=1.2, capsize=4)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set(xlabel="share of the variance of scores", xlim=(0, 1))

    return _svg("bars", draw, title, description, height=1.2 + 0.42 * len(dimensions))


def intervals(
    sides: Sequence[tuple[str, float, float, float]], title: str, description: str, key: str = "intervals"
) -> str:
    """Return scores with their 95 % intervals, one line a side: (name, score, low, high); `key` names the figure."""

    def draw(axes: Axes) -> None:
        for row, (name, score, low, high) in enumerate(sides):
            role, marker = _SIDES.get(name, ("other", "o"))
            axes.plot([low, high], [row, row], color=ROLES[role], linewidth=3, clip_on=False)
            axes.plot([score], [row], marker, color=ROLES[role], markersize=8, clip_on=False)
        axes.set_yticks(range(len(sides)), [side[0] for side in sides])
        axes.set(xlabel="score on test examples, 95 % interval", xlim=(0, 1), ylim=(-0.6, len(sides) - 0.4))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")

    return _svg(key, draw, title, description, height=1.1 + 0.4 * len(sides))


def rank_diagram(
    ranks: Sequence[tuple[str, float]],
    level: Sequence[tuple[float, float]],
    least: float,
    title: str,
    description: str,
) -> str:
    """Return a critical-difference diagram (Demšar 2006): methods on an axis of mean ranks, the best on the left.

    `ranks` are (name, mean rank); a bar joins each group of `level` ones, (lowest, highest) rank; `least` is the
    critical difference, drawn above the axis.
    """
    ordered = sorted(ranks, key=lambda pair: pair[1])
    depth = 1.0 + 0.35 * len(level)

    def draw(axes: Axes) -> None:
        last = max(2, len(ordered))
        axes.plot([1, last], [0, 0], color=ROLES["ink"], linewidth=1)
        for tick in range(1, last + 1):
            axes.plot([tick, tick], [0, 0.12], color=ROLES["ink"], linewidth=1)
            axes.text(tick, 0.2, str(tick), ha="center", va="bottom", color=ROLES["ink"])
        axes.plot([1, 1 + least], [1.0, 1.0], color=ROLES["after"], linewidth=2)
        axes.text(1, 1.1, f"critical difference {least:.2f}", ha="left", va="bottom", color=ROLES["ink"])
        for number, (low, high) in enumerate(level):
            bar = -0.3 - 0.35 * number
            axes.plot([low - 0.03, high + 0.03], [bar, bar], color=ROLES["before"], linewidth=4)
        for number, (name, rank) in enumerate(ordered):
            height = -depth - 0.55 * number
            axes.plot([rank, rank, 1 + last], [0, height, height], color=ROLES["other"], linewidth=1)
            axes.text(1.05 + last, height, f"{name} ({rank:.2f})", ha="left", va="center", color=ROLES["ink"])
        axes.set(xlim=(0.8, 2.2 * last + 1), ylim=(-depth - 0.55 * len(ordered), 1.7))
        axes.set_axis_off()

    return _svg("ranks", draw, title, description, height=1.4 + 0.28 * len(ordered) + 0.18 * len(level))


def _unit(axes: Axes, values: Sequence[float]) -> None:
    """Bound the axis by what there is to see, within [0, 1]."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    axes.set_ylim(max(-0.02, low - 0.1), min(1.02, high + 0.1))


def _svg(key: str, draw: Callable[[Axes], None], title: str, description: str, height: float = 3.2) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # The salt makes what a figure's parts refer to each other by unique on the page.
    with rc_context({**_SETTINGS, "svg.hashsalt": key}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _adapted(out.getvalue(), key, title, description)


def _adapted(text: str, key: str, title: str, description: str) -> str:
    """Return matplotlib's SVG as markup for our page: no styles, variables for colours, no names that repeat."""
    root = Tree.fromstring(text)  # noqa: S314 - matplotlib has just written it
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in {"metadata", "style"}:
                parent.remove(child)
    for element in root.iter():
        for rule in element.attrib.pop("style", "").split(";"):
            name, _, value = (part.strip() for part in rule.partition(":"))
            if value and name != "font":  # the page's, in one size
                element.set(name, _VARIABLES.get(value, value))
        for name in [name for name in element.attrib if name.endswith("}href")]:  # HTML knows no namespaces
            element.set("href", element.attrib.pop(name))
        if "_" in element.get("id", ""):  # axes_1, patch_2 …: every figure has them, and nothing refers to them
            del element.attrib["id"]
    del root.attrib["width"], root.attrib["height"]
    root.attrib |= {"role": "img", "class": "figure"}
    root.attrib |= {"aria-labelledby": f"{key}-title", "aria-describedby": f"{key}-desc"}
    for index, (tag, words) in enumerate((("title", title), ("desc", description))):
        child = Tree.Element(f"{{{_SVG}}}{tag}", {"id": f"{key}-{tag}"})
        child.text = words
        root.insert(index, child)
    Tree.register_namespace("", _SVG)
    return Tree.tostring(root, encoding="unicode")

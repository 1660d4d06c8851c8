"""Polls against delay: every policy on the same tasks, in virtual time, under the real watcher."""

import argparse
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from math import exp, log
from typing import Any, Literal

from benchmarks import report
from benchmarks.known import KnownHazard
from benchmarks.simulation import FOURTEEN_DAYS_S, Durations, Figures, Life, run, scaled
from suno_async.cadence import ONLY_COMPLETE, Cadence, FixedInterval, Growing, HazardPaced

Aim = Literal["mean", "tail"]

# by what is minimised: prices that make about as many polls
PRICES_S: dict[Aim, tuple[float, ...]] = {
    "mean": (0.0015, 0.005, 0.016, 0.05, 0.15, 0.6, 2.5),
    "tail": (0.0008, 0.005, 0.027, 0.15, 0.8, 6.0, 53.0),
}
# against a poller every 30 s, which waits longer than the cadence's usual ceiling allows
HIGH_PRICES_S: dict[Aim, tuple[float, ...]] = {
    "mean": (1.0, 4.0, 16.0, 64.0),
    "tail": (13.0, 107.0, 860.0, 6900.0),
}
EXPONENTS: dict[Aim, str] = {"mean": "1/2", "tail": "1/3"}
HIGH_CEILING_S = 60.0
INTERVALS_S = (1.0, 3.0, 5.0, 10.0, 30.0)
DEFAULT_PRICE_S = 0.05

MODELS = {
    "base": Durations(),
    "wider (sigma 0.35)": Durations(sigma=0.35),
    "narrower (sigma 0.15)": Durations(sigma=0.15),
    "stages alike (common 0.6)": Durations(sigma=0.35, common=0.6),
    "half as fast as the prior expects": Durations(medians_s=(42.0, 76.0, 124.0)),
    "twice as fast": Durations(medians_s=(10.5, 19.0, 31.0)),
}


class Prior(HazardPaced):
    """The hazard-paced cadence with its built-in prior, which never learns."""

    def learn(self, *_: Any, **__: Any) -> None:
        """Learn nothing."""


Curve = list[tuple[float, float]]  # mean delay in seconds, polls per task


def curve(lives: Sequence[Life], policies: Sequence[Cadence]) -> Curve:
    """Measure a policy at several settings."""
    figures = [run(lives, policy) for policy in policies]
    return sorted((f.mean_s, f.polls) for f in figures)


def polls_at(points: Curve, delay_s: float) -> float:
    """Read a curve at a delay, by a straight line between its points in log-log."""
    if not points[0][0] <= delay_s <= points[-1][0]:
        return float("nan")
    for (d0, p0), (d1, p1) in pairwise(points):
        if d0 <= delay_s <= d1:
            share = (log(delay_s) - log(d0)) / (log(d1) - log(d0)) if d1 > d0 else 0.0
            return exp(log(p0) + share * (log(p1) - log(p0)))
    return points[0][1]


def hazard_curve(
    lives: Sequence[Life], aim: Aim = "tail", make: Callable[..., Cadence] = HazardPaced
) -> Curve:
    """Measure the hazard-paced cadence at all prices."""
    return curve(lives, [make(price_s, minimise=aim) for price_s in PRICES_S[aim]])


def known_curve(lives: Sequence[Life], seen: Sequence[Life], *, scaled: bool) -> Curve:
    """Measure the cadence that knows the hazard, which minimises the mean."""
    prices_s = PRICES_S["mean"]
    return curve(lives, [KnownHazard(seen, price_s, scaled=scaled) for price_s in prices_s])


def patient_curve(lives: Sequence[Life], aim: Aim) -> Curve:
    """Measure the hazard-paced cadence at high prices, with a ceiling to match."""
    prices_s = HIGH_PRICES_S[aim]
    return curve(
        lives, [HazardPaced(price_s, HIGH_CEILING_S, minimise=aim) for price_s in prices_s]
    )


def against_fixed(lives: Sequence[Life], points: Curve, interval_s: float) -> float:
    """Tell how many of a fixed poller's polls are needed for the same mean delay."""
    fixed = run(lives, FixedInterval(interval_s))
    return polls_at(points, fixed.mean_s) / fixed.polls


def cost_s(figures: Figures, price_s: float = DEFAULT_PRICE_S) -> float:
    """What a task costs in seconds of delay: its polls at their price, and its mean delay."""
    return price_s * figures.polls + figures.mean_s


def compare_models(count: int) -> list[list[object]]:
    """Compare with fixed pollers on every duration model, without and with tasks of hours."""
    rows: list[list[object]] = []
    for name, model in MODELS.items():
        for hours in (0.0, model.hours_share):
            lives = _with_hours(model, hours).draw(count)
            fixed = [run(lives, FixedInterval(t)) for t in (1.0, 3.0, 5.0, 30.0)]
            fixed.append(run(lives, Growing(3)))
            for aim in EXPONENTS:
                points, patient = hazard_curve(lives, aim), patient_curve(lives, aim)
                curves = (points, points, points, patient, points)
                ratios = [
                    polls_at(each, f.mean_s) / f.polls
                    for each, f in zip(curves, fixed, strict=True)
                ]
                head = [name, "yes" if hours else "no", EXPONENTS[aim]]
                rows.append([*head, *(f"{ratio:.2f}" for ratio in ratios)])
    return rows


def _with_hours(model: Durations, hours_share: float) -> Durations:
    return Durations(
        model.medians_s,
        model.sigma,
        model.slow_share,
        model.slow_factor,
        model.slow_sigma,
        hours_share,
        model.failed_share,
        model.common,
    )


def curves(count: int) -> dict[str, Curve]:
    """Measure all policies on the base model, tasks of hours included."""
    lives, seen = Durations().draw(count), Durations().draw(20_000, seed=99)
    return {
        "fixed interval": curve(lives, [FixedInterval(t) for t in INTERVALS_S]),
        "fixed, growing after 5 min": curve(lives, [Growing(t) for t in INTERVALS_S]),
        "hazard-paced, prior only": hazard_curve(lives, make=Prior),
        "hazard-paced, cube root": hazard_curve(lives),
        "hazard-paced, square root": hazard_curve(lives, "mean"),
        "hazard known, scaled clock": known_curve(lives, seen, scaled=True),
        "hazard known, plain seconds": known_curve(lives, seen, scaled=False),
    }


def quantiles(count: int) -> list[list[object]]:
    """Compare the delay's distribution at about equal polls."""
    lives = _with_hours(Durations(), 0.0).draw(count)
    paced = run(lives, HazardPaced())
    once = run(lives, FixedInterval(3))
    same = run(lives, FixedInterval(3 * once.polls / paced.polls))
    complete = run(lives, HazardPaced(), weights=ONLY_COMPLETE)
    named = [
        ("hazard-paced, default price", paced),
        ("the same, square root", run(lives, HazardPaced(minimise="mean"))),
        ("fixed interval, as many polls", same),
        ("fixed interval of 3 s", once),
        ("hazard-paced, waiting for complete only", complete),
    ]
    return [
        [
            name,
            f"{f.polls:.1f}",
            f"{f.mean_s:.2f}",
            *(f"{f.quantile_s(q):.2f}" for q in (0.5, 0.95, 0.99)),
            f"{_last_mean(f):.2f}",
        ]
        for name, f in named
    ]


def _last_mean(figures: Figures) -> float:
    last = [delays[2] for delays in figures.delays_s if len(delays) == 3]
    return sum(last) / len(last)


def polls_at_equal_figures(count: int) -> list[list[object]]:
    """Tell how many of a fixed 3 s poller's polls are needed for its mean, p95 and p99."""
    base, calm = Durations(), _with_hours(Durations(), 0.0)
    wide = Durations(sigma=0.35, slow_share=0.0, hours_share=0.0)
    rows: list[list[object]] = []
    for name, model in (("base", base), ("no tasks of hours", calm), ("wide, no slow ones", wide)):
        lives = model.draw(count)
        fixed = run(lives, FixedInterval(3))
        for aim in EXPONENTS:
            paced = [run(lives, HazardPaced(price, minimise=aim)) for price in PRICES_S[aim]]
            shares = [polls_at(sorted((f.mean_s, f.polls) for f in paced), fixed.mean_s)]
            for q in (0.95, 0.99):
                points = sorted((f.quantile_s(q), f.polls) for f in paced)
                shares.append(polls_at(points, fixed.quantile_s(q)))
            rows.append([name, EXPONENTS[aim], *(f"{share / fixed.polls:.2f}" for share in shares)])
    return rows


def single_figures(count: int) -> dict[str, float]:
    """Measure the figures that are one number each."""
    base, calm = Durations(), _with_hours(Durations(), 0.0)
    lives = calm.draw(count)
    seen = calm.draw(20_000, seed=99)
    learned = run(lives, HazardPaced(minimise="mean"), skip=200)
    known = [
        run(lives, KnownHazard(seen, DEFAULT_PRICE_S, scaled=scale), skip=200)
        for scale in (True, False)
    ]
    strangers = base.draw(count)
    fresh = run(strangers, Prior(minimise="mean"))
    drifting = scaled(calm.draw(count), lambda i: 2.0 ** ((i // 500) % 2))
    never_s = FOURTEEN_DAYS_S * 2
    stuck = run([Life((never_s, never_s, never_s))], HazardPaced())
    return {
        "square root: cost above the hazard known on the scaled clock, after 200 tasks": (
            cost_s(learned) / cost_s(known[0]) - 1
        ),
        "square root: cost above the hazard known in plain seconds, after 200 tasks": (
            cost_s(learned) / cost_s(known[1]) - 1
        ),
        "square root, fresh session, one task: cost / fixed 3 s": (
            cost_s(fresh) / cost_s(run(strangers, FixedInterval(3)))
        ),
        "the same / fixed interval of the same number of polls": (
            cost_s(fresh) / cost_s(_fixed_with(strangers, fresh.polls))
        ),
        "congestion doubles or halves every 500 tasks: polls / fixed 3 s": against_fixed(
            drifting, hazard_curve(drifting), 3.0
        ),
        "polls of a task that is stuck for 14 days": stuck.polls,
        "with tasks of hours, after 200 tasks: polls a task at the default price": (
            run(strangers, HazardPaced(), skip=200).polls
        ),
    }


def _fixed_with(lives: Sequence[Life], polls: float) -> Figures:
    once = run(lives, FixedInterval(3))
    return run(lives, FixedInterval(3 * once.polls / polls))


def budgets() -> list[list[object]]:
    """Let 300 tasks in flight share a budget, by the stretched clock and first in, first out."""
    lives = _with_hours(Durations(), 0.0).draw(2000)
    spacing_s = 0.5  # 2 tasks a second that take 150 s each: 300 at a time
    rows: list[list[object]] = []
    for affordable in (20, 10):
        budget = affordable / spacing_s
        figures = [
            run(lives, policy, spacing_s=spacing_s, polls_per_second=budget, skip=400, spare=400)
            for policy in (HazardPaced(), FixedInterval(timedelta(seconds=0.34)))
        ]
        ratio = figures[0].mean_s / figures[1].mean_s
        means = [f"{f.mean_s:.2f}" for f in figures]
        polls = [f"{f.polls:.1f}" for f in figures]
        rows.append([affordable, *means, *polls, f"{ratio:.2f}"])
    return rows


def plot(all_curves: dict[str, Curve]) -> None:
    """Draw polls per task against mean delay, if matplotlib is there."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for name, points in all_curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="mean delay of a stage [s]",
        ylabel="polls per task",
        title="What a second of delay costs in polls",
    )
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    report.RESULTS.mkdir(exist_ok=True)
    figure.savefig(report.RESULTS / "cadence.png", dpi=110, metadata={"Software": ""})


def main(argv: list[str]) -> None:
    """Measure, print, save and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cadence")
    parser.add_argument("--tasks", type=int, default=2000, help="tasks of each run")
    count = parser.parse_args(argv).tasks

    models = compare_models(count)
    heads = ["1 s", "3 s", "5 s", "30 s", "growing"]
    report.table(
        "Polls at the mean delay of a fixed poller, as a share of its polls",
        ["durations", "hours", "exponent", *heads],
        models,
    )
    singles = single_figures(count)
    report.table(
        "Single figures", ["figure", "value"], [[k, f"{v:.3f}"] for k, v in singles.items()]
    )
    shared = budgets()
    report.table(
        "300 tasks in flight on one budget: mean delay in seconds",
        ["polls a task", "stretched", "fifo", "polls used", "by fifo", "ratio"],
        shared,
    )
    spread = quantiles(count)
    report.table(
        "Delay in seconds", ["policy", "polls", "mean", "p50", "p95", "p99", "complete"], spread
    )
    tails = polls_at_equal_figures(count)
    report.table(
        "Polls at the same figure as a fixed 3 s poller, as a share of its polls",
        ["durations", "exponent", "mean", "p95", "p99"],
        tails,
    )
    all_curves = curves(count)
    plot(all_curves)
    report.save(
        "cadence",
        {
            "tasks": count,
            "polls_as_share_of_fixed": [
                dict(zip(["durations", "hours", "exponent", *heads], r, strict=True))
                for r in models
            ],
            "single": singles,
            "budget": shared,
            "delay": spread,
            "equal_figures": tails,
            "curves": all_curves,
        },
    )

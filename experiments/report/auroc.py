"""The difference of the AUROC of two networks on the same test examples, with its interval."""

import numpy as np
import pandas as pd

MEMORY = 2**22  # weights of examples at a time


def auroc_difference(table: pd.DataFrame, positive: str, resamples: int) -> tuple[float, float, float]:
    """Return the difference of the AUROC, a mean over folds and seeds, and the ends of its 95 % interval.

    The interval is a percentile bootstrap. Units are drawn within their fold, the same for all seeds.

    Args:
        table: Columns fold, seed, unit, truth, value (the score of one network) and value_other (of the other).
        positive: The class that has high scores.
        resamples: Number of resamples.

    Raises:
        ValueError: The examples of a fold are of one class.

    Example:
        >>> rows = {"fold": 0, "seed": 0, "unit": range(4), "truth": list("aabb")}
        >>> table = pd.DataFrame(rows | {"value": [0.1, 0.2, 0.3, 0.4], "value_other": [0.1, 0.3, 0.2, 0.4]})
        >>> auroc_difference(table, "b", 1000)[0]
        0.25
    """
    rng, differences = np.random.default_rng(0), []
    for _, fold in table.groupby("fold"):
        numbers, names = pd.factorize(fold["unit"], sort=True)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
        drawn[0] = 1  # the examples as they are come first
        for seed in fold["seed"].unique():
            one = (fold["seed"] == seed).to_numpy()
            scores, true = fold.loc[one, ["value", "value_other"]].to_numpy(), fold.loc[one, "truth"] == positive
            parts = np.array_split(drawn, -(-resamples * len(true) // MEMORY))
            arm, other = (
                np.concatenate([_auroc(score, true.to_numpy(), part[:, numbers[one]]) for part in parts])
                for score in scores.T
            )
            differences.append(arm - other)
    means = np.mean(differences, axis=0)
    if np.isnan(means[0]):
        raise ValueError("the test examples of a fold are all of one class, so that there is no AUROC")
    low, high = np.nanquantile(means, [0.025, 0.975])
    return float(means[0]), float(low), float(high)


def _auroc(scores: np.ndarray, true: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AUROC for each row of weights of the examples; NaN where one of both classes has none."""
    order = scores.argsort()
    firsts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # of equal scores
    positive, negative = (np.add.reduceat(weights[:, order] * of[order], firsts, 1) for of in (true, ~true))
    below = negative.cumsum(1) - negative / 2  # a negative of equal score counts half
    with np.errstate(invalid="ignore"):
        found: np.ndarray = (positive * below).sum(1) / (positive.sum(1) * negative.sum(1))
    return found

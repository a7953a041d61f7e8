"""The JSON of a study, its table, its pictures and the page."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import stdev

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report import figures, page
from experiments.report.grid import Arm, Cell, Mean, Study, average
from experiments.report.paired import Comparison
from experiments.report.study_table import table
from experiments.report.tables import show


def cell(arm: str = "plain", fraction: float = 1.0, seed: int = 0, fold: int | None = 1, test: float = 0.5) -> Cell:
    transformed = {"0.5": test / 2, "1": test, "2": test / 5}
    return Cell(arm, fraction, seed, fold, 12, 3.5, test - 0.1, test, transformed, {"0.5": 0.3, "1": 0.0, "2": 0.6})


def study(**changes: object) -> Study:
    cells = [
        cell(arm, fraction, seed, test=base + fraction / 10 + seed / 100)
        for arm, base in (("plain", 0.5), ("plain, augmented", 0.6), ("ours", 0.7))
        for fraction in (0.25, 1.0)
        for seed in (0, 1, 2)
    ]
    arms = {
        "plain": Arm(["experiment=a"], 1234, {"optimizer.lr": 0.003}, {"optimizer.lr=0.003": 0.5}),
        "plain, augmented": Arm(["experiment=a", "augment=speed"], 1234),
        "ours": Arm(["experiment=b"], 4321),
    }
    values = {
        **{"name": "tiny", "title": "A study", "about": "Of nothing.", "metric": "accuracy"},
        **{
            "transformation": "playback speed",
            "test_examples": 1000,
            "chance": 0.1,
            "missing": 0,
            "arms": arms,
            "cells": cells,
        },
    }
    return Study(**values | changes)  # type: ignore[arg-type]


def test_a_study_is_kept_in_json_with_a_line_for_each_run(tmp_path: Path) -> None:
    study().save(tmp_path / "study.json")
    assert Study.load(tmp_path / "study.json") == study()
    text = (tmp_path / "study.json").read_text()
    assert len([line for line in text.splitlines() if '"arm": ' in line]) == 18
    assert json.loads(text)["cells"][0]["transformed"]["2"] == study().cells[0].transformed["2"]
    (tmp_path / "study.json").write_text(text.replace('"seed"', '"sead"'))
    with pytest.raises(ValueError, match=r"study\.json is not a study\.json of experiments\.study"):
        Study.load(tmp_path / "study.json")


def test_what_is_not_a_number_is_null_in_json(tmp_path: Path) -> None:
    odd = replace(cell(), test=float("nan"), transformed={"1": float("nan")}, val=None)
    study(cells=[odd]).save(tmp_path / "study.json")
    json.loads((tmp_path / "study.json").read_text(), parse_constant=pytest.fail)
    (read,) = Study.load(tmp_path / "study.json").cells
    assert np.isnan([read.test, read.transformed["1"]]).all() and read.val is None and read.moved == odd.moved


def test_the_time_of_a_prediction_stands_beside_the_accuracy() -> None:
    assert "ms" not in table(study())[0]
    arms = {
        name: replace(arm, prediction=s)
        for (name, arm), s in zip(study().arms.items(), (0.0042, None, 1.2), strict=True)
    }
    columns, rows = table(study(arms=arms))
    assert [row[columns.index("ms")] for row in rows] == ["4.2", "4.2", "", "", "1,200", "1,200"]
    assert {len(row) for row in rows} == {len(columns)}


def test_folds_are_averaged_for_each_seed_first_and_alone_they_are_the_units() -> None:
    values = np.random.default_rng(0).uniform(size=(3, 5))
    cells = [cell(seed=seed, fold=fold) for seed in range(3) for fold in range(5)]
    mean = average(cells, values.ravel().tolist())
    assert mean.value == pytest.approx(values.mean())
    assert mean.deviation == pytest.approx(np.std(values.mean(1), ddof=1))
    alone = average(cells[:5], values[0].tolist())
    assert (alone.value, alone.deviation) == pytest.approx((values[0].mean(), stdev(values[0])))
    assert average(cells[:1], [0.5]) == Mean(0.5, None)


def test_the_table_has_the_means_and_the_flatness() -> None:
    columns, rows = table(study())
    assert columns == [
        *["", "parameters", "chosen on validation", "training share", "runs", "minutes", "test accuracy"],
        *["×0.5", "×1", "×2", "flatness"],
    ]
    assert rows[1] == [
        *["plain", "1,234", "lr 0.003", "100%", "3", "0.1", "61.0 ± 1.0"],
        *["30.5 ± 0.5", "61.0 ± 1.0", "12.2 ± 0.2", "48.8"],
    ]
    assert len(rows) == 6


def test_the_flatness_counts_the_test_as_it_is() -> None:
    shrunk = [replace(one, transformed={"0.5": one.test - 0.2, "2": one.test - 0.3}) for one in study().cells]
    columns, rows = table(study(cells=shrunk))
    assert columns[-3:] == ["×0.5", "×2", "flatness"] and [row[-1] for row in rows] == ["30.0"] * 6


def test_further_metrics_stand_at_the_end_and_again_for_each_further_test() -> None:
    elsewhere = {"eyes": {"accuracy": 0.25, "components": 12.5, "loss": 1.0}}
    cells = [replace(one, tests=elsewhere, further={"components": 3.25}) for one in study().cells]
    columns, rows = table(study(cells=cells))
    assert columns[-3:] == ["flatness", "components", "eyes components"]
    assert rows[0][-2:] == ["3.25 ± 0", "12.5 ± 0"] and rows[0][columns.index("eyes")] == "25.0 ± 0.0"
    older = [replace(cells[0], further={}), *cells[1:]]
    assert "components" not in table(study(cells=older))[0]


def test_arms_are_compared_in_further_tests_as_well(tmp_path: Path) -> None:
    at_home, elsewhere = (
        Comparison("ours", "plain", 1.0, "accuracy", difference, None, None, None, examples, examples)
        for difference, examples in ((0.125, 20), (0.25, 28))
    )
    cells = [replace(one, tests={"eyes": {"accuracy": 0.25}}) for one in study().cells]
    compared = study(cells=cells, paired=[at_home], paired_tests={"eyes": [elsewhere]})
    columns, rows = table(compared)
    of_ours = dict(zip(columns, rows[-1], strict=True))
    assert of_ours["against plain"] == "+12.5" and of_ours["eyes against plain"] == "+25.0"
    assert list(of_ours).index("eyes against plain") == list(of_ours).index("eyes") + 1
    assert dict(zip(columns, rows[0], strict=True))["eyes against plain"] == ""
    assert "bootstrap over 20 test examples; 28 test examples)" in compared.pairing
    compared.save(tmp_path / "study.json")
    assert Study.load(tmp_path / "study.json") == compared


def test_the_test_as_it_is_stands_among_the_sizes_and_angles_of_a_picture() -> None:
    halves = [replace(one, transformed={"0.5": 0.25, "2": 0.5}, moved={"0.5": 0.3, "2": 0.6}) for one in study().cells]
    sizes = study(cells=halves, transformation="size")
    assert sizes.amounts == ["0.5", "1", "2"] and study().amounts == ["0.5", "1", "2"]
    for paint, middle in (figures.factors, 0.61), (figures.moved, 0.0):
        ax = Figure().subplots()
        paint(sizes, ax)
        xs, ys = map(np.asarray, ax.lines[0].get_data())
        assert xs.tolist() == [0.5, 1, 2] and ys[1] == pytest.approx(middle, abs=1e-6)
    ax = Figure().subplots()
    figures.factors(study(cells=[replace(one, arm="plain", test=0.55) for one in halves], chance=None), ax)
    assert ax.get_ylim() == (0.2, 0.6)  # lines between 0.25 and 0.55
    turned = [replace(one, transformed={"45": 0.5}) for one in study().cells]
    assert study(cells=turned, transformation="angle").amounts == ["0", "45"]
    assert study(cells=[replace(one, transformed={}) for one in study().cells]).amounts == []


def test_the_hours_of_a_study_count_a_training_once() -> None:
    arms = {"plain": Arm(["experiment=a"]), "plain, four scales": Arm(["experiment=a", "views.num_scales=4"])}
    cells = [replace(cell(arm, seed=seed), seconds=1800.0) for arm in arms for seed in (0, 1, 2)]
    assert study(arms=arms, cells=cells).hours == 1.5


def test_what_is_wider_than_the_screen_is_several_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, rows = table(study())
    tables = {}
    for width in 300, 80, 48:
        monkeypatch.setenv("COLUMNS", str(width))
        show("A study", columns, rows, heads=["training share"])
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
        assert max(map(len, lines)) <= width
        parts = [lines[i : i + len(rows)] for i in range(0, len(lines), len(rows))]
        cells = [[[cell.strip() for cell in line.split("│")[1:-1]] for line in part] for part in parts]
        identified = [(row[0], row[columns.index("training share")]) for row in rows]
        for part in cells:
            assert [tuple(cell for cell in line if cell in sum(identified, ())) for line in part] == identified
        tables[width] = len(parts)
        shown = [[cell for part in cells for cell in part[i]] for i in range(len(rows))]
        assert all(set(row) == set(given) for row, given in zip(shown, rows, strict=True))
    assert tables[300] == 1 and 1 < tables[80] < tables[48]


def drawn(picture: str, given: Study) -> list[tuple[str, list[float], list[float]]]:
    """The lines of a picture: label, x, y."""
    ax = Figure().subplots()
    figures.PICTURES[picture][2](given, ax)
    return [(str(line.get_label()), list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]  # type: ignore[arg-type]


def test_lines_are_the_means_of_the_largest_share() -> None:
    (label, x, y), *_ = drawn("factors", study())
    assert label == "plain" and x == [0.5, 1, 2]
    assert y == pytest.approx([0.305, 0.61, 0.122])
    assert drawn("moved", study())[2][2] == pytest.approx([0.3, 0, 0.6])
    label, x, y = drawn("share", study())[2]
    assert label == "ours" and x == [0.25, 1]
    assert y == pytest.approx([0.735, 0.81])


def test_an_eighth_line_differs_from_the_first() -> None:
    arms = [f"net {i}" for i in range(8)]
    ax = Figure().subplots()
    figures.factors(study(arms={arm: Arm([]) for arm in arms}, cells=[cell(arm) for arm in arms]), ax)
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines[:8]}) == 8


def test_bars_are_the_mean_over_the_factors_and_the_worst() -> None:
    ax = Figure().subplots()
    figures.bars(study(), ax)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(  # type: ignore[attr-defined]
        [test * (1 / 2 + 1 + 1 / 5) / 3 for test in (0.61, 0.71, 0.81)]
    )
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([test / 5 for test in (0.61, 0.71, 0.81)])  # type: ignore[index]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["plain", "plain, augmented", "ours"]


def of_errors() -> Study:
    """A study of a regression: the mean absolute errors are 8.1, 9.1 and 10.1 for the whole training set."""
    cells = [cell(c.arm, c.fraction, c.seed, test=c.test * 10 + 2) for c in study().cells]
    return study(metric="mae", chance=None, cells=cells)


def test_errors_are_shown_in_the_units_of_the_data() -> None:
    columns, rows = table(of_errors())
    assert columns[6:] == ["test mae", "×0.5", "×1", "×2", "flatness"]
    assert rows[1][6:] == ["8.1 ± 0.1", "4.05 ± 0.05", "8.1 ± 0.1", "1.62 ± 0.02", "6.48"]


def test_the_worst_error_is_the_largest() -> None:
    ax = Figure().subplots()
    figures.bars(of_errors(), ax)
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([8.1, 9.1, 10.1])  # type: ignore[index]
    assert [text.get_text() for text in ax.texts] == ["4.59", "5.16", "5.72"]
    assert [text.xy[0] for text in ax.texts] == pytest.approx([bar.get_width() for bar in ax.patches])  # type: ignore[attr-defined]
    assert ax.get_xlim()[0] == 0 and 10.1 < ax.get_xlim()[1] < 12


def test_without_factors_bars_have_the_deviation(tmp_path: Path) -> None:
    alone = study(cells=[replace(cell, transformed={}, moved={}) for cell in study().cells])
    assert [file.name for file in figures.draw(alone, tmp_path).values()] == ["tiny_share.png", "tiny_arms.png"]
    ax = Figure().subplots()
    figures.arms(alone, ax)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.61, 0.71, 0.81])  # type: ignore[attr-defined]
    assert [lines.get_segments()[0][:, 0] for lines in ax.collections] == [  # type: ignore[attr-defined]
        pytest.approx([test - 0.01, test + 0.01]) for test in (0.61, 0.71, 0.81)
    ]


def test_further_tests_have_bars_below(tmp_path: Path) -> None:
    cells = [
        replace(cell, transformed={}, moved={}, tests={"other": {"accuracy": cell.test / 2}}) for cell in study().cells
    ]
    assert "tiny_arms.png" in [file.name for file in figures.draw(study(cells=cells), tmp_path).values()]
    tested = [replace(cell, transformed=first.transformed) for cell, first in zip(cells, study().cells, strict=True)]
    assert "tiny_arms.png" in [file.name for file in figures.draw(study(cells=tested), tmp_path).values()]
    ax = Figure().subplots()
    figures.arms(study(cells=cells), ax)
    expected = [value for test in (0.61, 0.71, 0.81) for value in (test, test / 2)]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(expected)  # type: ignore[attr-defined]
    assert [text.get_text() for text in ax.texts][:2] == ["61.0%", "30.5% other"]


def test_numbers_beside_bars_are_within_the_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = list[Figure]()
    monkeypatch.setattr(figures, "save", lambda figure, file: drawn.append(figure))
    tests = {"organs of which there were many": {"accuracy": 0.8}}
    arms = {name: Arm([]) for name in ("ours", "ours, mean of four scales")}
    cells = [replace(cell(arm), transformed={}, moved={}, tests=tests) for arm in arms]
    figures.draw(study(arms=arms, cells=cells), tmp_path)
    (figure,) = drawn
    figure.draw_without_rendering()  # saving a picture lays it out once more
    assert max(text.get_window_extent().x1 for text in figure.axes[0].texts) <= figure.bbox.x1


def test_pictures_are_drawn_where_there_is_something_to_show(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    files = figures.draw(study(), tmp_path)
    assert [file.name for file in files.values()] == [
        f"tiny_{name}.png" for name in ("share", "factors", "bars", "moved")
    ]
    assert all(file.stat().st_size > 10_000 for file in files.values())
    maps = study(cells=[replace(cell, moved={}) for cell in study().cells])  # of maps it is not measured
    assert [file.name for file in figures.draw(maps, tmp_path / "maps").values()] == [
        f"tiny_{name}.png" for name in ("share", "factors", "bars")
    ]
    one = study(arms={"ours": Arm([])}, cells=[cell("ours")], transformation="angle")
    assert list(figures.draw(one, tmp_path)) == ["accuracy against angle", "how far the logits move against angle"]


@pytest.mark.usefixtures("full_disk")
def test_a_picture_of_a_study_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no space left"):
        figures.draw(study(), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("paint", [figures.factors, figures.moved])
@pytest.mark.parametrize("arms", [2, 14])
def test_the_legend_of_long_names_is_within_the_picture_and_covers_nothing(
    arms: int, paint: Callable[[Study, Axes], None]
) -> None:
    names = [f"sizes augmented, as many multiply-adds, {n}" for n in range(arms)]
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    paint(study(arms={name: Arm([]) for name in names}, cells=[cell(name) for name in names]), ax := figure.subplots())
    figure.draw_without_rendering()
    place = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= place.x0 and place.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= place.y0 and place.y1 <= ax.xaxis.label.get_window_extent().y0
    assert 2.3 <= ax.get_window_extent().height / figure.dpi <= 3.3  # inches for the lines, whatever the legend needs


def test_the_page_is_made_of_the_studies_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"run experiments\.study first"):
        page.write(tmp_path / "runs", tmp_path / "docs")
    (tmp_path / "runs" / "any").mkdir(parents=True)
    study(missing=2, about="Of nothing.\nAgainst us: all.").save(tmp_path / "runs" / "any" / "study.json")
    file = page.write(tmp_path / "runs", tmp_path / "docs")
    text = file.read_text()
    assert (
        "## A study" in text and "`study=tiny`: 3 seeds, 1 fold, 1,000 test examples each, 12 epochs; 0.0 hours" in text
    )
    assert "\nOf nothing.\n\nAgainst us: all.\n" in text and "2 runs are missing." in text
    assert "| ours | 4,321 |  | 100% | 3 | 0.1 | 81.0 ± 1.0 | 40.5 ± 0.5 | 81.0 ± 1.0 | 16.2 ± 0.2 | 64.8 |" in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (tmp_path / "docs" / line.split("](")[1].removesuffix(")")).is_file()
    (tmp_path / "runs" / "any" / "study.json").unlink()
    assert page.write(tmp_path / "runs", tmp_path / "docs").read_text() == text

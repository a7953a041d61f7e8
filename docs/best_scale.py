"""Compare the scale by thickness with the one that is best by the truth: the table in docs/guide/canonical.md.

The network is ``pretrained/nuclei``. Test images of MoNuSeg are resized. Of five views, one of them finer than the
image, the best one is that of the highest Dice coefficient with the true mask, which is not known in use. Writes
best_scale.json. Without arguments it only prints the table:

    python -m docs.best_scale data/MoNuSeg
"""

import json
import sys
from pathlib import Path

from rich.progress import track

from docs.scales import SIZES, Scales
from experiments import load
from experiments.data.sets.monuseg import MoNuSeg
from experiments.files import write_json
from wavenets import Grid
from wavenets.nn import CanonicalizeThickness

THICKNESS, FINER = 10.1, 1  # see pretrained/nuclei/README.md
FILE = Path(__file__).with_suffix(".json")


def measure(root: Path) -> dict[str, list[float]]:
    """Return the Dice coefficient over all pixels in percent at each size, for each way to choose a scale."""
    network = load(FILE.parents[1] / "pretrained" / "nuclei").network
    net = CanonicalizeThickness(network, THICKNESS, Grid(2, base=2**0.5), num_scales=5, finer=FINER).eval()
    tests = MoNuSeg(root).split("test")
    examples = (tests[item][:2] for item in track(range(len(tests)), "images"))
    scales = Scales(net, examples, {"thickness": net.scores})
    thickness = scales.scores["thickness"]
    return {
        "as it is": scales.dice(FINER),
        "scale by thickness, of four": scales.dice(FINER + thickness[..., FINER:].argmax(2)),
        "scale by thickness, of five": scales.dice(thickness.argmax(2)),
        "best of five by the truth": scales.best(),
    }


def table(dice: dict[str, list[float]]) -> str:
    """Return the Dice coefficients as Markdown."""
    lines = [f"| | {' | '.join(f'×{size:g}' for size in SIZES)} |", f"|---{'|--:' * len(SIZES)}|"]
    lines += [f"| {' | '.join([way, *(f'{value:.1f}' for value in values)])} |" for way, values in dice.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:]:
        write_json(FILE, measure(Path(sys.argv[1])))
    print(table(json.loads(FILE.read_text())))

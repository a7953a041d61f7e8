"""Compare the scale by thickness with the one that is best by the truth: the table in docs/guide/canonical.md.

The network is ``pretrained/nuclei``. Test images of MoNuSeg are resized. Of five views, one of them finer than the
image, the best one is that of the highest Dice coefficient with the true mask, which is not known in use. Writes
best_scale.json. Without arguments it only prints the table:

    python -m docs.best_scale data/MoNuSeg
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from docs.released import SIZES
from experiments import load
from experiments.data.image.geometry import resize
from experiments.data.sets.monuseg import MoNuSeg
from experiments.files import write_json
from experiments.training.tasks.segmentation import classes_of
from wavenets import Grid
from wavenets.nn import CanonicalizeThickness

THICKNESS, FINER = 10.1, 1  # see pretrained/nuclei/README.md
WAYS = "as it is", "scale by thickness, of four", "scale by thickness, of five", "best of five by the truth"
FILE = Path(__file__).with_suffix(".json")


def counts(found: Tensor, truth: Tensor) -> Tensor:
    """Return twice the common area of two masks, and the sum of their areas."""
    return torch.stack([2 * (found & truth).sum(), found.sum() + truth.sum()])


def of_ways(net: CanonicalizeThickness, image: Tensor, truth: Tensor) -> Tensor:
    """Return the counts of an image in each of ``WAYS``."""
    views = net.views(image[None])
    maps = [net.answers(views, torch.tensor([view])) for view in range(len(views))]
    each = torch.stack([counts(classes_of(logits)[0] == 1, truth) for logits in maps])
    scores = net.scores(views)[0]
    chosen = FINER, FINER + int(scores[FINER:].argmax()), int(scores.argmax()), int((each[:, 0] / each[:, 1]).argmax())
    return each[list(chosen)]


@torch.inference_mode()
def measure(root: Path) -> dict[str, list[float]]:
    """Return the Dice coefficient over all pixels at each size, for each way."""
    network = load(FILE.parents[1] / "pretrained" / "nuclei").network
    net = CanonicalizeThickness(network, THICKNESS, Grid(2, base=2**0.5), num_scales=5, finer=FINER).eval()
    total = torch.zeros(len(SIZES), len(WAYS), 2)
    tests = MoNuSeg(root).split("test")
    for item in range(len(tests)):
        image, mask = tests[item]
        nuclei = mask % 256 == 1  # a mask has numbers of objects times 256 as well
        total += torch.stack([of_ways(net, resize(image, size), resize(nuclei, size)) for size in SIZES])
        print(f"{item + 1} of {len(tests)} images", flush=True)
    return dict(zip(WAYS, (total[..., 0] / total[..., 1]).T.tolist(), strict=True))


def table(dice: dict[str, list[float]]) -> str:
    """Return the Dice coefficients in percent, as Markdown."""
    lines = [f"| | {' | '.join(f'×{size:g}' for size in SIZES)} |", f"|---{'|--:' * len(SIZES)}|"]
    lines += [f"| {' | '.join([way, *(f'{100 * value:.1f}' for value in values)])} |" for way, values in dice.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:]:
        write_json(FILE, measure(Path(sys.argv[1])))
    print(table(json.loads(FILE.read_text())))

"""Sets of images: a table of files with their stages and targets, read when they are needed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from experiments.cores import cores
from experiments.data.bad_files import check_policy, missing, warn_skipped
from experiments.data.image.fit import FITS, fit_to, height_and_width
from experiments.data.image.statistics import statistics
from experiments.data.image.transforms import Crop
from experiments.data.inputs import IGNORED, INSTANCE, Image
from experiments.data.source import Source, Stage, as_target
from experiments.data.transformation import OF_IMAGES, TESTED

MEMORY = 2**30  # bytes of decoded images that a process keeps


class Images(NamedTuple):
    """Images of a set, one entry each.

    Attributes:
        path: Files of the images.
        stage: ``"train"``, ``"val"`` or ``"test"``; others are left out.
        target: Labels (N,), 0 or 1 for each class (N, num_classes), or numbers (N, K) in float64. ``None``: masks.
        mask: Files of the masks.
        instances: Files of the numbers of the objects; ``None`` for images of which they are unknown.
        roi: Files of the regions of interest, outside of which a mask does not count; ``None`` for whole images.
        mpp: Side of a pixel, in microns. ``None``: unknown.
        group: Groups, such as patients. ``None``: there are none.
    """

    path: Sequence[Path]
    stage: Sequence[str]
    target: np.ndarray | None = None
    mask: Sequence[Path | None] | None = None
    instances: Sequence[Path | None] | None = None
    roi: Sequence[Path | None] | None = None
    mpp: float | None = None
    group: Sequence[str] | None = None


class ImageSet(Source):
    """A set of images with labels, numbers or masks.

    All files are decoded once before the first is used, so that a bad one is found before training. What fits into
    1 GB is kept in memory: a transform must return a new tensor, and not change the one that it is given.

    Args:
        listed: The images.
        classes: Names of the classes; of masks, in the order of their numbers.
        channels: Number of channels, see `read_image`.
        size: Height and width of all images. ``None``: they stay as they are.
        fit: How images get this size: "resize" both sides, "pad" (and shrink what is too large), or "crop" the middle.
        crop: Side, or height and width, of random windows to train on. ``None``: training on whole images.
        crops_per_image: Number of windows of each image in an epoch.
        foreground: Share of the windows around a random pixel of a class other than the first.
        range: Values that become 0 and 1, see `read_image`.
        mean, std: Of each channel, by which networks normalise images, or "imagenet". ``None``: they do not.
        background: Colour behind transparent pixels and around padded images, from 0 to 255.
        transformation: What tests on transformed images do: "rescaling", "rotation" or "reflection".
        mask_values: Value of each class in masks, see `read_mask`.
        ignore: Value of pixels in masks that do not count.
        on_bad_file: "raise" an error if a file is missing or bad, or "skip" it with a warning.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: An argument is out of range, or an image has no mask.
    """

    def __init__(
        self,
        listed: Images,
        classes: Sequence[str],
        channels: int = 3,
        size: Sequence[int] | None = None,
        fit: str = "resize",
        crop: int | Sequence[int] | None = None,
        crops_per_image: int = 1,
        foreground: float = 0.0,
        range: Sequence[float] | None = None,
        mean: Sequence[float] | str | None = None,
        std: Sequence[float] | str | None = None,
        background: float = 255,
        transformation: str = "rescaling",
        mask_values: Sequence[int] | None = None,
        ignore: int | None = None,
        on_bad_file: str = "raise",
    ) -> None:
        for key, value in ("channels", channels), ("crops_per_image", crops_per_image):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"data.{key}={value} is not a whole number above 0")
        for key, word, known in ("fit", fit, FITS), ("transformation", transformation, OF_IMAGES):
            if word not in known:
                raise ValueError(f"data.{key}={word} is unknown; choose one of {', '.join(known)}")
        if crop is None and (crops_per_image > 1 or foreground):
            raise ValueError("data.crops_per_image and data.foreground need the size of the windows; set data.crop=64")
        if foreground and listed.mask is None:
            raise ValueError(f"data.foreground={foreground} needs masks; set data.foreground=0")
        if range is not None and len(range) != 2:
            raise ValueError(f"data.range={list(range)} is not a range; write the lowest and the highest value")
        check_policy(on_bad_file)
        self.listed, self.classes, self.channels, self.on_bad_file = listed, list(classes), channels, on_bad_file
        self.size, self.fit = None if size is None else height_and_width("size", size), fit
        self.range, self.background = None if range is None else (range[0], range[1]), background
        self.mask_values, self.ignore, self.mean_std = mask_values, ignore, statistics(mean, std, channels)
        self.transforms = [] if crop is None else [Crop(height_and_width("crop", crop), foreground)]
        self.repeats, self.transformation = crops_per_image, OF_IMAGES[transformation]
        self.test_factors, self._present = TESTED[type(self.transformation)], dict[int, np.ndarray]()
        if listed.target is None:
            for path, mask in zip(listed.path, listed.mask or [None] * len(listed.path), strict=True):
                if mask is None:
                    raise ValueError(f"{path} has no mask; list one for each image, or remove its line")
        self.group_of = dict(zip(listed.path, listed.group or [], strict=False))
        self._exists, self._memory, self._free = self._exist(), dict[int, tuple[Tensor, Any]](), MEMORY

    def __getstate__(self) -> dict[str, Any]:
        # Each loading process reads for itself; pickled images would be a copy of the memory.
        return vars(self) | {"_memory": {}, "_free": MEMORY}

    def split(self, stage: Stage) -> "Examples":
        """Return the images of a stage.

        Raises:
            ValueError: There are none, a file is bad, or the sizes of training images differ.
        """
        rows = [row for row in self._sizes if self.listed.stage[row] == stage]
        if not rows:
            where = f"fold {self.folds[stage]} ({stage})" if self.folds else stage
            raise ValueError(f"no usable image in {where}; choose another fold or complete the set")
        if stage == "train" and not self.transforms:
            self._check_one_size(rows)
        return Examples(self, rows)

    @property
    def validated(self) -> bool:
        """Whether there are validation examples."""
        return "val" in self.listed.stage

    @property
    def input(self) -> Image:  # type: ignore[override]
        """Kind of input that the images are."""
        sizes = {self.size} if self.size or self.transforms else set(self._sizes.values())
        mpp = self.listed.mpp if self.size is None or self.fit == "crop" else None
        return Image(self.channels, sizes.pop() if len(sizes) == 1 else None, mpp, *self.mean_std)

    def files(self, stage: Stage) -> list[Path]:
        """Return the files of a stage, in the order of the items of `split`."""
        return [self.listed.path[row] for row in self._sizes if self.listed.stage[row] == stage]

    def example(self, row: int) -> tuple[Tensor, Any]:
        """Return the input and the target of a row of the table, at the size of the set."""
        if row in self._memory:
            return self._memory[row]
        x, targets = self.read(self.listed.path[row]), self.listed.target
        size = x.shape[1], x.shape[2]
        example = self.fitted(x), (self.fitted(self._mask(row, size)) if targets is None else as_target(targets[row]))
        if (needed := sum(part.nbytes for part in example if isinstance(part, Tensor))) <= self._free:
            self._free, self._memory[row] = self._free - needed, example
        return example

    def read(self, file: Path) -> Tensor:
        """Read an image (channels, H, W) within [0, 1]."""
        from experiments.data.image.read import read_image  # needs the extra "images"

        return read_image(file, self.channels, self.background, range=self.range)

    def fitted(self, x: Tensor) -> Tensor:
        """Return an image, or a mask, at the size of the set."""
        return x if self.size is None else fit_to(x, self.size, self.fit, self.background / 255)

    def _mask(self, row: int, size: tuple[int, int]) -> Tensor:
        """Read the target of an image with a mask, with the instances and within the region of interest."""
        from experiments.data.image.mask import read_instances, read_mask

        image, files = self.listed.path[row], (self.listed.mask, self.listed.instances, self.listed.roi)
        mask, instances, roi = (None if part is None else part[row] for part in files)
        assert mask is not None
        target = read_mask(mask, len(self.classes), size, self.mask_values, self.ignore, image)
        if instances:
            target = target + INSTANCE * read_instances(instances, size, image)
        return target.where(read_mask(roi, 2, size, image=image) == 1, IGNORED) if roi else target

    def _exist(self) -> list[bool]:
        """Return which rows have all of their files."""
        columns = [part for part in self.listed[:1] + self.listed[3:6] if part is not None]
        rows = [[file for file in row if file is not None] for row in zip(*columns, strict=True)]
        gone = missing([file for row in rows for file in row], self.on_bad_file)
        return [gone.isdisjoint(row) for row in rows]

    @cached_property
    def _sizes(self) -> dict[int, tuple[int, int]]:
        """Height and width of the images that can be used, by row. All are decoded here."""
        rows = [row for row, stage in enumerate(self.listed.stage) if stage in get_args(Stage) and self._exists[row]]
        hidden = len(rows) < 100 or not Console().is_terminal
        pool = ThreadPoolExecutor(min(8, cores()))
        try:
            found = pool.map(self._size, rows)
            sizes = list(track(found, "Reading images", len(rows), transient=True, disable=hidden))
        finally:
            pool.shutdown(cancel_futures=True)
        warn_skipped([size for size in sizes if isinstance(size, str)], len(rows))
        return {row: size for row, size in zip(rows, sizes, strict=True) if not isinstance(size, str)}

    def _size(self, row: int) -> tuple[int, int] | str:
        """Return height and width of an image, or what is wrong with it."""
        try:
            x, target = self.example(row)
        except ValueError as error:
            if self.on_bad_file == "raise":
                raise
            return str(error)
        if self.listed.target is None and (n := len(self.classes)):
            self._present[row] = np.bincount(target.numpy().ravel() % INSTANCE, minlength=INSTANCE)[:n] > 0
        return x.shape[1], x.shape[2]

    def _check_one_size(self, rows: Sequence[int]) -> None:
        first, (height, width) = self.listed.path[rows[0]], self._sizes[rows[0]]
        for row in rows:
            if (size := self._sizes[row]) != (height, width):
                raise ValueError(
                    f"{self.listed.path[row]} has {size[0]} × {size[1]} pixels, {first} has {height} × {width}; "
                    f"data.size=[{height},{width}] brings all to one size (data.fit=pad keeps their proportions), and "
                    "data.crop=64 trains on random windows"
                )


class Examples(Dataset[tuple[Tensor, Any]]):
    """The images of a stage: item i is (image (channels, H, W) float32 within [0, 1], target).

    A mask is int64 (H, W): the class number, plus 256 times the number of the object, and 255 where it does not count.

    Attributes:
        labels: Targets (N, …). ``None``: they are masks.
        present: Whether a mask has each class (N, num_classes). ``None``: the targets are not masks.
    """

    def __init__(self, images: ImageSet, rows: Sequence[int]) -> None:
        self.images, self.rows = images, rows
        self.labels = None if images.listed.target is None else images.listed.target[list(rows)]
        self.present = np.stack([images._present[row] for row in rows]) if self.labels is None else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[Tensor, Any]:
        return self.images.example(self.rows[item])

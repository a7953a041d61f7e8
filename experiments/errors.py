"""Errors that the user can mend, and interruptions, told in one line."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, InstantiationException
from hydra.types import RunMode
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf

from experiments.run import Run

log = logging.getLogger(__name__)

ERRORS = ImportError, MisconfigurationException, OSError, ValueError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with one line and exit code 1, not with a traceback, on a wrong value or a missing file.

    A sweep tells the line, and goes on with the next job; it ends with exit code 1 all the same.
    HYDRA_FULL_ERROR=1 in the environment gives the traceback, as it does for Hydra's own errors.
    """
    try:
        yield
    except (*ERRORS, InstantiationException, MissingMandatoryValue) as error:
        line = _one_line(error)
        if line is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
            log.error("%s", line)
            raise CompactHydraException(line) from None  # Hydra ends no sweep for it, as it does for a SystemExit
        raise SystemExit(line) from None


def _one_line(error: Exception) -> str | None:
    if isinstance(error, MissingMandatoryValue):
        return f"error: {error.full_key}=… is missing; --help explains it"
    if not isinstance(error, InstantiationException):
        return f"error: {error}"
    cause = error.__cause__  # what a constructor raised
    if isinstance(cause, MisconfigurationException | OSError | ValueError):
        return f"error: {cause}"
    if cause is None or isinstance(cause, ImportError | TypeError):
        # A class that is not there, or an argument that it does not take: Hydra says which.
        return f"error: {' '.join(str(error).split())}"
    return None


@contextmanager
def interruptible(run: Run) -> Iterator[None]:
    """Tells how to go on with a run that Ctrl-C or SIGTERM ends; the exit code is a shell's, 130 or 143."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as end:
        # Lightning makes a SystemExit of both: with code 0 of SIGTERM, with code 1 of Ctrl-C.
        code = signal.SIGTERM if isinstance(end, SIGTERMException) else signal.SIGINT
        if is_first_process():
            how = f"go on with resume={run.folder}" if run.started else "no epoch was over, so nothing is kept"
            print(f"interrupted; {how}", file=sys.stderr)
        raise SystemExit(128 + code) from None


def is_first_process() -> bool:
    """Whether this process, of several that train one network, is the one that writes."""
    return not getattr(rank_zero_only, "rank", 0)


def check_numbers(cfg: DictConfig) -> None:
    """Looks at those numbers of the configuration that nobody else looks at.

    Raises:
        ValueError: One is none, or is too small.
    """
    for key, kind, least in (
        ("seed", int, 0),
        ("batch_size", int, 1),
        ("num_workers", int, 0),
        ("wavelet_loss", float, 0),
        ("optimizer.lr", float, 0),
    ):
        value = OmegaConf.select(cfg, key, default=least)
        if not isinstance(value, int | kind) or not value >= least:
            raise ValueError(f"{key}={value} is no {'whole ' * (kind is int)}number of at least {least}")

"""Errors that the user can correct, and interruptions, reported in one line."""

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
from omegaconf import MissingMandatoryValue

from experiments.run import Run

log = logging.getLogger(__name__)

ERRORS = ImportError, MisconfigurationException, OSError, ValueError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line and exit code 1, not with a traceback, on a wrong value or a missing file.

    A sweep logs the line and continues with the next job; it ends with exit code 1 nevertheless.
    HYDRA_FULL_ERROR=1 in the environment shows the traceback, as it does for Hydra's own errors.
    """
    try:
        yield
    except (*ERRORS, InstantiationException, MissingMandatoryValue) as error:
        line = _one_line(error)
        if line is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
            log.error("%s", line)
            raise CompactHydraException(line) from None  # a SystemExit would end the sweep
        raise SystemExit(line) from None


def _one_line(error: Exception) -> str | None:
    if isinstance(error, MissingMandatoryValue):
        return f"error: {error.full_key}=… is missing; --help explains it"
    if str(error).startswith("Expected more than 1 value per channel"):  # of torch
        return f"error: batch norm cannot train on one value per channel; set a larger batch_size ({error})"
    if not isinstance(error, InstantiationException):
        return f"error: {error}"
    cause = error.__cause__  # what a constructor raised
    if isinstance(cause, MisconfigurationException | OSError | ValueError):
        return f"error: {cause}"
    if cause is None or isinstance(cause, ImportError | TypeError):
        # A class that does not exist, or an argument that it does not take: Hydra names it.
        return f"error: {' '.join(str(error).split())}"
    return None


@contextmanager
def interruptible(run: Run) -> Iterator[None]:
    """Print how to continue a run that Ctrl-C or SIGTERM ends. The exit code is 130 or 143, as in a shell."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as end:
        # Lightning makes a SystemExit of both: with code 0 of SIGTERM, with code 1 of Ctrl-C.
        code = signal.SIGTERM if isinstance(end, SIGTERMException) else signal.SIGINT
        if is_first_process():
            how = f"continue with resume={run.folder}" if run.started else "no epoch was completed, so nothing is kept"
            print(f"interrupted; {how}", file=sys.stderr)
        raise SystemExit(128 + code) from None


def is_first_process() -> bool:
    """Return whether this process writes the files, if several processes train one network."""
    return not getattr(rank_zero_only, "rank", 0)

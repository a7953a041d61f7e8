"""Errors that the user can mend, told in one line."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import MissingMandatoryValue

log = logging.getLogger(__name__)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with one line and exit code 1, not with a traceback, on a wrong value or a missing file.

    A sweep tells the line, and goes on with the next job; it ends with exit code 1 all the same.
    HYDRA_FULL_ERROR=1 in the environment gives the traceback, as it does for Hydra's own errors.
    """
    try:
        yield
    except (InstantiationException, MisconfigurationException, MissingMandatoryValue, OSError, ValueError) as error:
        line = _one_line(error)
        if line is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
            log.error("%s", line)
            raise HydraException(line) from None  # Hydra ends no sweep for it, as it does for a SystemExit
        raise SystemExit(line) from None


def _one_line(error: Exception) -> str | None:
    if isinstance(error, MissingMandatoryValue):
        return f"error: {error.full_key}=… is missing; --help explains it"
    if not isinstance(error, InstantiationException):
        return f"error: {error}"
    cause = error.__cause__  # what a constructor raised
    if isinstance(cause, MisconfigurationException | OSError | ValueError):
        return f"error: {cause}"
    # An argument that it does not take, or a class that is not there: Hydra says which.
    return f"error: {' '.join(str(error).split())}" if cause is None or isinstance(cause, TypeError) else None

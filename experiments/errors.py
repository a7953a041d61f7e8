"""Errors that the user can mend, told in one line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import InstantiationException
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import MissingMandatoryValue


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with one line and exit code 1, not with a traceback, on a wrong value or a missing file.

    HYDRA_FULL_ERROR=1 in the environment gives the traceback, as it does for Hydra's own errors.
    """
    try:
        yield
    except MissingMandatoryValue as error:
        raise SystemExit(f"error: {error.full_key}=… is missing; --help explains it") from None
    except (InstantiationException, MisconfigurationException, OSError, ValueError) as error:
        # Hydra wraps what a constructor raised.
        cause = error.__cause__ if isinstance(error, InstantiationException) else error
        if (
            not isinstance(cause, MisconfigurationException | OSError | ValueError)
            or os.environ.get("HYDRA_FULL_ERROR") == "1"
        ):
            raise
        raise SystemExit(f"error: {cause}") from None

"""Training, evaluation and prediction with wavelet networks, composed by Hydra and run by Lightning."""

from os.path import expanduser
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

if TYPE_CHECKING:
    from experiments.loaded import Trained, load

OmegaConf.register_new_resolver("home", expanduser, replace=True)  # in conf/: ~ is the home folder

__all__ = ["Trained", "load"]


def __getattr__(name: str) -> Any:
    """Import `load` and `Trained` when they are first used: the commands start without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from experiments import loaded

    return getattr(loaded, name)

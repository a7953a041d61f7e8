"""Training, evaluation and prediction with wavelet networks, composed by Hydra and run by Lightning."""

from os.path import expanduser
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from experiments.loaded import Trained, load


def _choice(group: str, _root_: DictConfig) -> Any:
    """Return which file of a group in conf/ was chosen. Where a sweep gets its folder, ${hydra:…} is not known yet."""
    from hydra.core.hydra_config import HydraConfig

    choices = OmegaConf.select(_root_, "hydra.runtime.choices") or HydraConfig.get().runtime.choices
    return choices[group]


OmegaConf.register_new_resolver("home", expanduser, replace=True)  # in conf/: ~ is the home folder
OmegaConf.register_new_resolver("choice", _choice, replace=True)

__all__ = ["Trained", "load"]


def __getattr__(name: str) -> Any:
    """Import `load` and `Trained` when they are first used: the commands start without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from experiments import loaded

    return getattr(loaded, name)

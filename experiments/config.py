"""The configuration of a training: its numbers, and that of a run that continues."""

from inspect import signature
from pathlib import Path

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from experiments.run import Run
from experiments.trust import TRAINING_ROOMS, allowed_class, as_list, targets

# What decides how many steps a run has.
LENGTH = (
    *("trainer.max_epochs", "trainer.max_steps", "trainer.accumulate_grad_batches"),
    *("trainer.limit_train_batches", "trainer.overfit_batches", "trainer.devices", "trainer.num_nodes"),
)
# What a resumed run may change, beside trainer.…: whether it is tested, and where its data are.
CHANGEABLE = "test", "data.root", "data.metadata", "data.cache_dir", "data.num_workers", "num_workers"


def check_numbers(cfg: DictConfig) -> None:
    """Check those numbers and switches of the configuration that are not checked elsewhere.

    Raises:
        ValueError: A value is not a number, is too small, or is neither true nor false.
    """
    for key, kind, least in (
        ("seed", int, 0),
        ("batch_size", int, 1),
        ("fraction", float, 0),
        ("num_workers", int, 0),
        ("wavelet_loss", float, 0),
        ("optimizer.lr", float, 0),
        ("optimizer.weight_decay", float, 0),
        ("trainer.max_epochs", int, -1),
        ("trainer.check_val_every_n_epoch", int, 1),
        ("trainer.accumulate_grad_batches", int, 1),
    ):
        value = OmegaConf.select(cfg, key, default=least)
        if value is None and key.startswith("trainer."):  # Lightning's own
            continue
        if not isinstance(value, int | kind) or not value >= least:
            raise ValueError(f"{key}={value} is not a {'whole ' * (kind is int)}number of at least {least}")
    if cfg.seed >= 2**32:  # of NumPy
        raise ValueError(f"seed={cfg.seed} is too large; the largest is {2**32 - 1}")
    for key in "test", "checkpointing":  # Hydra reads test=no as the text "no", which would count as true
        if not isinstance(cfg[key], bool):
            raise ValueError(f"{key}={cfg[key]} is neither true nor false")


def resumed(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """Return the configuration of the run to resume, with ``trainer.…``, ``test`` and the place of the data as asked.

    Raises:
        FileNotFoundError: The folder contains no run.
        ValueError: The command line asks for something that the run did not start with, or the folder's config.yaml
            is damaged or names a class of a module that is not trusted.
    """
    run = Run(Path(cfg.resume).expanduser())
    if not run.started:
        raise FileNotFoundError(
            f"{cfg.resume} contains no run with checkpoints/last.ckpt to resume; start a new run without resume"
        )
    try:
        saved = OmegaConf.load(run.config)
    except YAMLError:
        saved = None
    if not isinstance(saved, DictConfig) or not saved.keys() >= {"model", "data", "trainer", "overrides"}:
        raise ValueError(
            f"{run.config} is damaged, so that the run cannot be resumed; start it again in another folder"
        )
    for target in targets(OmegaConf.to_container(saved)):
        allowed_class(target, (*TRAINING_ROOMS, *as_list(cfg.trust)))
    for override in overrides:
        key = key_of(override)
        if key.startswith("trainer.") or key in CHANGEABLE:
            if key in LENGTH and _ends(saved) and OmegaConf.select(saved, key) != OmegaConf.select(cfg, key):
                raise ValueError(
                    f"{override.lstrip('+')}: the learning rate of {cfg.resume} was planned for its length; "
                    f"start a new run with weights={cfg.resume}"
                )
            OmegaConf.update(saved, key, OmegaConf.select(cfg, key), force_add=True)
            saved.overrides = [o for o in saved.overrides if key_of(o) != key] + [override]
        elif key == "trainer":
            raise ValueError(f"{override}: a run continues with changes key by key, such as trainer.accelerator=gpu")
        elif not key.startswith(("resume", "trust", "hydra.")) and override not in saved.overrides:
            raise ValueError(
                f"{override} is not what {cfg.resume} was started with; resume can change only trainer.…, "
                f"{', '.join(CHANGEABLE)}"
            )
    return saved


def _ends(cfg: DictConfig) -> bool:
    """Return whether the scheduler of a run plans the learning rate up to the end of the run."""
    if cfg.get("scheduler") is None:
        return False
    return bool({"total_steps", "T_max"} & signature(get_class(cfg.scheduler._target_)).parameters.keys())


def key_of(override: str) -> str:
    """Return the key that an override sets.

    Example:
        >>> key_of("++trainer.max_epochs=9")
        'trainer.max_epochs'
    """
    return override.split("=")[0].lstrip("+~")

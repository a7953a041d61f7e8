"""What a command answers before the imports that take seconds: its help, and keys that do not exist."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from experiments.arguments import readable

HERE = Path(__file__).parent
CONF = next(folder for folder in (HERE / "conf", HERE.parent / "conf") if folder.is_dir())  # of a wheel, of a clone
ANSWERED = "help", "hydra_help", "info", "cfg", "shell_completion"  # by Hydra, without running the command
OWN_CONFIG = "config_path", "config_name", "experimental_rerun"


def answer(command: str) -> None:
    """Answer ``--help`` and the like, or an override that does not exist, and end the program. Otherwise return.

    Raises:
        SystemExit: The command line was answered.
    """
    sys.argv = readable(sys.argv, command)
    options = vars(get_args_parser().parse_args(sys.argv[1:]))
    own = any(options[name] for name in OWN_CONFIG)
    if not own and not options["help"] and not options["hydra_help"]:
        folder = options["config_dir"]
        path = [f"hydra.searchpath=[{json.dumps(f'file://{Path(folder).absolute()}')}]"] if folder else []
        with initialize_config_dir(str(CONF), version_base="1.3"):
            if line := mistake(command, [*path, *options["overrides"]], options["multirun"]):
                raise SystemExit(f"error: {line}")
    if any(options[name] for name in ANSWERED):
        if hasattr(signal, "SIGPIPE"):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ``--help | head`` ends without an error
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=command)(lambda cfg: None)()
        raise SystemExit(0)
    if command == "train" and not own and (line := unusable(options["overrides"])):
        raise SystemExit(f"error: {line}")


def mistake(config: str, overrides: list[str], multirun: bool = False) -> str | None:
    """Return in one line which override is empty or does not exist, and the nearest that does. ``None``: all compose.

    Args:
        config: Name of the configuration of a command. Hydra must be initialized.
        overrides: The command line.
        multirun: Whether a list of values, such as ``seed=0,1``, means several runs.

    Example:
        >>> with initialize_config_dir(str(CONF), version_base="1.3"):
        ...     mistake("train", ["trainer.epochs=5"])
        'trainer.epochs is unknown; did you mean trainer.max_epochs?'
    """
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException as error:
        return f"{error.override} cannot be read; put a value with special characters in quotes: 'key=\"value\"'"
    for part in parsed:
        if part.is_sweep_override() and not multirun:
            return f"{part.input_line} has several values; for a run with each add -m, and a list is written [0,1]"
        value = None if part.is_sweep_override() else part.value()
        if "" in (value if isinstance(value, list) else [value]):  # such as of a shell variable that is not set
            return f"{part.input_line} has an empty value; write one, or leave {part.key_or_group} out"
    first = [(part, text) for part in parsed if (text := _first(part) if multirun else part.input_line)]
    if _error(config, [text for _, text in first]) is None:
        return None
    right: list[str] = []
    for part, text in sorted(first, key=lambda pair: _order(pair[0].key_or_group)):
        if wrong := _error(config, [*right, text]):
            return _explained(config, right, part, wrong)
        right.append(text)
    return None


def unusable(overrides: list[str]) -> str | None:
    """Return in one line why the folder of a run cannot be written. ``None``: it can."""
    given = {part.key_or_group: str(part.value()) for part in OverridesParser.create().parse_overrides(overrides)}
    place = Path(given.get("resume", given.get("folder", "runs"))).expanduser()
    while not os.path.exists(place):
        place = place.parent
    if not place.is_dir():
        return f"{place} is a file, not a folder for a run; set folder=…"
    return None if os.access(place, os.W_OK) else f"{place} cannot be written; set folder=… to one that can"


def _order(key: str) -> int:
    """Return where a key belongs: Hydra's own, such as its search path, then groups, which bring keys, then keys."""
    return 0 if key.startswith("hydra.") else 2 if "." in key else 1


def nearest(key: str, known: list[str]) -> str:
    """Return a question for the nearest of the known keys, by its last part; those with the same parent come first.

    Example:
        >>> nearest("epochs", ["trainer.max_epochs", "seed"])
        'did you mean trainer.max_epochs?'
    """
    parent, _, word = key.rpartition(".")
    for some in [name for name in known if name.rpartition(".")[0] == parent], known:
        lasts = {name.rpartition(".")[2]: name for name in reversed(some)}
        if near := get_close_matches(word, lasts, 1):
            return f"did you mean {lasts[near[0]]}?"
    return "--help lists what there is"


def _first(part: Override) -> str | None:
    """Return an override with the first of its values. ``None``: it has a range of values, as for a search."""
    if not part.is_sweep_override():
        return part.input_line
    return f"{part.get_key_element()}={next(part.sweep_string_iterator())}" if part.is_discrete_sweep() else None


def _error(config: str, overrides: list[str]) -> Exception | None:
    try:
        compose(config, overrides)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:  # ValueError: a group is null
        return error
    return None


def _explained(config: str, right: list[str], part: Override, error: Exception) -> str:
    """Return in one line why an override does not compose with those that are right, a search path among them."""
    key, loader = part.key_or_group, GlobalHydra.instance().config_loader()
    if options := [str(name) for name in loader.get_group_options(key, config_name=config, overrides=right)]:
        value = part.value()
        for name in map(str, value if isinstance(value, list) else [value]):
            if name not in options:
                near = get_close_matches(name, options, 1)
                remedy = f"did you mean {key}={near[0]}?" if near else f"choose one of {', '.join(options)}"
                return f"{key}={name} is unknown; {remedy}"
    known = [name for name in _keys(OmegaConf.to_container(compose(config, right))) if not key.startswith(f"{name}.")]
    if key in known and part.is_add():
        return f"{part.input_line}: {key} exists already; leave out the +"
    if options or key in known or part.is_add():  # of options: a fault in that file
        return f"{part.input_line}: {' '.join(str(error).split())}"
    return f"{key} is unknown; {nearest(key, known)}"


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield all keys of a configuration, with dots."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _keys(value, f"{prefix}{key}.")

"""The command line as people write it, made what Hydra reads."""

import os
import re
from collections.abc import Sequence

# Hydra accepts null for a value, but not for a group, which an empty list disables.
GROUPS = re.compile(r"^(experiment|augment|scheduler|callbacks|logger)=null$")
# What a resumed run may change. Its configuration may have keys that the composed one lacks.
RESUMABLE = re.compile(r"^(trainer\.|data\.(?:root|metadata|cache_dir|num_workers)=)")
OF_DATA = re.compile(r"^(data\.)")
HOME = re.compile(r"^([\w./@+]*=)~(?=/|$)")
LIST = re.compile(r"^([\w./@+]+=)\[([^'\"\[\]{}()$\\]*)\]$")
BARE = re.compile(r"^([\w./@+]*=)([^'\"\[\]{}(),$\\]*[^\x00-\x7f][^'\"\[\]{}(),$\\]*)$")


def readable(arguments: Sequence[str], command: str = "train") -> list[str]:
    """Return arguments for Hydra: home folders expanded, letters beyond ASCII in quotes, groups disabled by ``null``.

    Any key of the data may be given to ``evaluate``, and some to a run that continues: Hydra would ask for a plus.

    Example:
        >>> readable(["logger=null", "name=été", "seed=1"])
        ['logger=[]', 'name="été"', 'seed=1']
        >>> readable(["files=[a.wav,été.wav]"])
        ['files=[a.wav,"été.wav"]']
        >>> readable(["resume=runs/a", "data.root=/data"])
        ['resume=runs/a', '++data.root=/data']
        >>> readable(["data.test_fold=2"], "evaluate")
        ['++data.test_fold=2']
    """
    resumes = any(argument.startswith("resume=") for argument in arguments)
    added = OF_DATA if command == "evaluate" else RESUMABLE if resumes else None
    done = []
    for argument in arguments:
        argument = GROUPS.sub(r"\1=[]", argument)
        if items := LIST.match(argument):
            argument = f"{items[1]}[{','.join(_value(f'={item.strip()}')[1:] for item in items[2].split(','))}]"
        argument = _value(argument)
        done.append(added.sub(r"++\1", argument) if added else argument)
    return done


def _value(argument: str) -> str:
    """Return ``key=value`` with the home folder for ``~``, and in quotes if there are letters beyond ASCII."""
    home = os.path.expanduser("~")
    return BARE.sub(r'\1"\2"', HOME.sub(lambda match: match[1] + home, argument))

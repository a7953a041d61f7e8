"""The command line as people write it, made what Hydra reads."""

import os
import re
from collections.abc import Sequence

# Hydra accepts null for a value, but not for a group, which an empty list disables.
GROUPS = re.compile(r"^(experiment|augment|scheduler|callbacks|logger)=null$")
# What a resumed run may change. Its configuration may have keys that the composed one lacks.
RESUMABLE = re.compile(r"^(trainer\.|data\.(?:root|metadata|cache_dir|num_workers)=)")
HOME = re.compile(r"^([\w./@+]+=)~(?=/|$)")
BARE = re.compile(r"^([\w./@+]+=)([^'\"\[\]{}(),$\\]*[^\x00-\x7f][^'\"\[\]{}(),$\\]*)$")


def readable(arguments: Sequence[str]) -> list[str]:
    """Return arguments for Hydra: home folders expanded, letters beyond ASCII in quotes, groups disabled by ``null``.

    Example:
        >>> readable(["logger=null", "name=été", "seed=1"])
        ['logger=[]', 'name="été"', 'seed=1']
        >>> readable(["resume=runs/a", "data.root=/data"])
        ['resume=runs/a', '++data.root=/data']
    """
    home = os.path.expanduser("~")
    resumes = any(argument.startswith("resume=") for argument in arguments)
    done = []
    for argument in arguments:
        argument = GROUPS.sub(r"\1=[]", argument)
        argument = HOME.sub(lambda match: match[1] + home, argument)
        argument = BARE.sub(r'\1"\2"', argument)
        done.append(RESUMABLE.sub(r"++\1", argument) if resumes else argument)
    return done

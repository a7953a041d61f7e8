"""The console script: ``wavenets train …`` is ``python -m experiments.train …``, from any folder.

Unlike ``python -m``, a console script does not look into the current folder first, so that a project may have its own
``experiments`` or ``conf``.
"""

import sys
from runpy import run_module

COMMANDS = {
    "train": "train a network, and test it",
    "evaluate": "test a trained network again",
    "predict": "apply a trained network to sounds or images",
    "study": "run a grid of trainings, and draw the results",
    "export": "export a trained network to a file that runs without this package",
    "demo": "open a page that compares a network with its plain twin",
}


def main() -> None:
    """Run a command."""
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in ("-h", "--help"):
        print("usage: wavenets COMMAND …\n")
        print("\n".join(f"  {name:10}{text}" for name, text in COMMANDS.items()))
        print("\nwavenets COMMAND --help explains a command")
        return
    if command not in COMMANDS:
        raise SystemExit(f"error: there is no command {command}; choose one of {', '.join(COMMANDS)}")
    del sys.argv[1]
    run_module(f"experiments.{command}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

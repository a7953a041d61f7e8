"""The description on the package index, and where a wheel has the configuration; all else stands in setup.cfg.

The description is the README. There, relative links and pictures lead nowhere, and the repository has no public address
yet that they could be given: so of a link its text is left, and of a picture its description.
"""

import re
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

README = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
RELATIVE = re.compile(r"!?\[([^]]*)\]\((?!https?:)[^)]*\)")


class BuildPy(build_py):
    """Packages, with conf/ inside of experiments/: a wheel must not install a package called conf."""

    def run(self) -> None:
        """Copy the packages, and the configuration."""
        super().run()
        if not self.editable_mode:
            self.copy_tree("conf", str(Path(self.build_lib, "experiments", "conf")))


setup(
    cmdclass={"build_py": BuildPy},
    long_description=RELATIVE.sub(r"\1", README),
    long_description_content_type="text/markdown",
)

"""The description on the package index; all other metadata stand in setup.cfg.

It is the README. There, relative links and pictures lead nowhere, and the repository has no public address yet that
they could be given: so of a link its text is left, and of a picture its description.
"""

import re
from pathlib import Path

from setuptools import setup

README = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
RELATIVE = re.compile(r"!?\[([^]]*)\]\((?!https?:)[^)]*\)")

setup(long_description=RELATIVE.sub(r"\1", README), long_description_content_type="text/markdown")

"""Time and peak memory of a plain U-Net on memory-mapped images of several sizes, tile by tile.

Each image is processed by a process of its own, whose peak memory is that of getrusage.

    python -m benchmarks.tiles
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from experiments.run import write_json
from tests.test_tiles import PlainUNet

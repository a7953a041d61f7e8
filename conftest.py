"""What every test and every example finds prepared."""

import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True)
def prepared(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace.update(torch=torch, nn=nn)
    torch.manual_seed(0)

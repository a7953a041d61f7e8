"""The network on log-mel spectrograms, against librosa's; and on several scales, exactly equivariant."""

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch

from experiments.evaluation.formats import FORMATS
from experiments.export import example
from experiments.models.log_mel import FLOOR, LogMelCNN
from wavenets import Grid
from wavenets.models.network import normalized

RATE = 8000


@pytest.mark.parametrize("channels", [1, 2])
def test_its_spectrogram_is_librosas(channels: int) -> None:
    net = LogMelCNN(3, channels, sample_rate=RATE)
    torch.manual_seed(0)
    x = torch.randn(2, channels, 5003)
    level = x / x.square().mean((1, 2), keepdim=True).sqrt()
    options: dict[str, Any] = {"n_fft": 512, "hop_length": 128, "n_mels": 64, "pad_mode": "reflect"}
    theirs = np.log(librosa.feature.melspectrogram(y=level.numpy(), sr=RATE, **options) + FLOOR)
    torch.testing.assert_close(net.body[1]([level])[0], torch.from_numpy(theirs), rtol=0, atol=1e-4)


def test_loudness_does_not_matter_and_silence_has_an_answer() -> None:
    net = LogMelCNN(3, sample_rate=RATE).eval()
    x = torch.randn(2, 1, net.min_size)
    torch.testing.assert_close(net(0.01 * x), net(x), rtol=0, atol=1e-5)
    assert net(torch.zeros(1, 1, net.min_size)).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_its_spectrogram_is_computed_in_float32(dtype: torch.dtype) -> None:
    net = LogMelCNN(3, sample_rate=RATE).eval()
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(8000) / RATE)[None, None]
    spectrogram = net.body[1]([tone])[0]
    with torch.autocast("cpu", dtype):
        assert torch.equal(net.body[1]([tone])[0], spectrogram)
        assert net(tone).isfinite().all()
    assert net.to(dtype)(tone.to(dtype)).isfinite().all()


def test_signals_that_do_not_fit() -> None:
    net = LogMelCNN(3, sample_rate=RATE)
    with pytest.raises(ValueError, match=r"expected an input of shape \(B, 1, L\), got \(2, 2, 8000\)"):
        net(torch.randn(2, 2, 8000))
    with pytest.raises(ValueError, match=f"LogMelCNN needs at least {net.min_size} samples, got {net.min_size - 1}"):
        net(torch.randn(2, 1, net.min_size - 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("base, finer", [(2, 0), ("3/2", 0), ("3/2", 1)])
@torch.no_grad()
def test_levels_of_a_rescaled_signal_are_those_of_the_signal(base: int | str, finer: int, dtype: torch.dtype) -> None:
    net = LogMelCNN(3, sample_rate=RATE, base=base, num_scales=4, finer=finer).to(dtype)
    x = normalized(torch.randn(2, 1, 9973, dtype=dtype))
    net.body(x)  # the norms have seen something
    net.eval()
    levels, rescaled = net.body(x)[finer + 1 :], net.body(Grid(1, base).downscale(x))[finer:-1]
    assert [level.shape for level in rescaled] == [level.shape for level in levels]
    assert all((one == other).all() for one, other in zip(levels, rescaled, strict=True))


@pytest.mark.parametrize("finer", [0, 1, 2])
@torch.no_grad()
def test_on_several_scales_it_is_the_mean_of_the_plain_network_on_all_views(finer: int) -> None:
    plain = LogMelCNN(3, sample_rate=RATE).eval()
    net = LogMelCNN(3, sample_rate=RATE, base="3/2", num_scales=3, finer=finer).eval()
    net.load_state_dict(plain.state_dict())
    x = normalized(torch.randn(2, 1, 4001))
    mean = torch.stack([plain.head(plain.body[1:]([view]))[0] for view in Grid(1, "3/2").views(x, 3, finer)]).mean(0)
    torch.testing.assert_close(net(x), mean, rtol=0, atol=1e-5)
    assert net(torch.randn(1, 1, net.min_size)).isfinite().all()


@pytest.mark.parametrize("form", ["export", pytest.param("onnx", marks=pytest.mark.slow)])
@torch.no_grad()
def test_its_export_is_for_all_batches_and_lengths(form: str, tmp_path: Path) -> None:
    net = LogMelCNN(3, sample_rate=RATE, base="3/2", num_scales=2).eval()
    exported = FORMATS[form](net, *example(net), {}, tmp_path / "net")
    for x in torch.randn(1, 1, net.min_size), torch.randn(3, 1, 4001):
        torch.testing.assert_close(exported(x), net(x), rtol=0, atol=1e-5)


def test_channels_belong_to_their_own_example() -> None:
    net = LogMelCNN(3, 2, sample_rate=RATE).eval()
    x = torch.randn(3, 2, 4000)
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=0, atol=1e-5)
    assert not net(x.flip(1)).allclose(net(x))

"""The plain network on log-mel spectrograms, against librosa's."""

from typing import Any

import librosa
import numpy as np
import pytest
import torch

from experiments.models.log_mel import FLOOR, LogMelCNN

RATE = 8000


@pytest.mark.parametrize("channels", [1, 2])
def test_its_spectrogram_is_librosas(channels: int) -> None:
    net = LogMelCNN(3, channels, sample_rate=RATE)
    torch.manual_seed(0)
    x = torch.randn(2, channels, 5003)
    level = x / x.square().mean((1, 2), keepdim=True).sqrt()
    options: dict[str, Any] = {"n_fft": 512, "hop_length": 128, "n_mels": 64, "pad_mode": "reflect"}
    theirs = np.log(librosa.feature.melspectrogram(y=level.numpy(), sr=RATE, **options) + FLOOR)
    torch.testing.assert_close(net.spectrogram(x), torch.from_numpy(theirs), rtol=0, atol=1e-4)


def test_loudness_does_not_matter_and_silence_has_an_answer() -> None:
    net = LogMelCNN(3, sample_rate=RATE).eval()
    x = torch.randn(2, 1, net.min_size)
    torch.testing.assert_close(net(0.01 * x), net(x), rtol=0, atol=1e-5)
    assert net(torch.zeros(1, 1, net.min_size)).isfinite().all()


def test_channels_belong_to_their_own_example() -> None:
    net = LogMelCNN(3, 2, sample_rate=RATE).eval()
    x = torch.randn(3, 2, 4000)
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=0, atol=1e-5)
    assert not net(x.flip(1)).allclose(net(x))

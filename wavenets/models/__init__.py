"""Plain networks and their wavelet twins."""

from wavenets.models.envelope import EnvelopeMNet
from wavenets.models.image import DigitCNN, ResNet, WaveletDigitCNN, WaveletResNet
from wavenets.models.layers import Options
from wavenets.models.mnet import MNet, WaveletMNet
from wavenets.models.network import Network
from wavenets.models.one_d_cnn import OneDCNN, WaveletOneDCNN
from wavenets.models.sample_cnn import SampleCNN, WaveletSampleCNN
from wavenets.models.scalogram import ScalogramNet

__all__ = [
    "DigitCNN",
    "EnvelopeMNet",
    "MNet",
    "Network",
    "OneDCNN",
    "Options",
    "ResNet",
    "SampleCNN",
    "ScalogramNet",
    "WaveletDigitCNN",
    "WaveletMNet",
    "WaveletOneDCNN",
    "WaveletResNet",
    "WaveletSampleCNN",
]

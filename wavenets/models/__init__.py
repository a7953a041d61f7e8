"""Networks, one class for each: plain, or on a group of scales, rotations and reflections if they are given one."""

from wavenets.models.cnn import CNN
from wavenets.models.mnet import MNet
from wavenets.models.network import Encoder, Network
from wavenets.models.one_d_cnn import OneDCNN
from wavenets.models.options import Options
from wavenets.models.resnet import ResNet
from wavenets.models.sample_cnn import SampleCNN
from wavenets.models.scalogram import ScalogramNet
from wavenets.models.unet import UNet

__all__ = [
    "CNN",
    "Encoder",
    "MNet",
    "Network",
    "OneDCNN",
    "Options",
    "ResNet",
    "SampleCNN",
    "ScalogramNet",
    "UNet",
]

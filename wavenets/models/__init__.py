"""Plain networks and their wavelet twins."""

from wavenets.models.mnet import MNet, WaveletMNet
from wavenets.models.one_d_cnn import OneDCNN, WaveletOneDCNN
from wavenets.models.sample_cnn import SampleCNN, WaveletSampleCNN

__all__ = ["MNet", "OneDCNN", "SampleCNN", "WaveletMNet", "WaveletOneDCNN", "WaveletSampleCNN"]

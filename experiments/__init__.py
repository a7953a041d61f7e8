"""Training, evaluation and prediction with wavelet networks, composed by Hydra and run by Lightning."""

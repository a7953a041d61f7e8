"""What a trained network does on data: measurements and predictions."""

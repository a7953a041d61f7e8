"""What a network is trained for: loss, metrics, and the meaning of an output."""

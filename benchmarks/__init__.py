"""What the package costs, measured side by side."""

"""Images and masks: reading, geometry, transforms."""

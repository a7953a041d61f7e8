"""Sounds: decoding, the cache on disk, recordings and their windows."""

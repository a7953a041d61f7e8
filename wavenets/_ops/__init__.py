"""What is fast or traceable: the only files that ask whether a compiler is at work."""

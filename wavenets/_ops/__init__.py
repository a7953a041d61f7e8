"""Operators that are fast, or that a compiler can trace."""

"""How good a trained network is: numbers, tables and pictures."""

"""How a network is trained: the task, the batches, and what is kept of each epoch."""

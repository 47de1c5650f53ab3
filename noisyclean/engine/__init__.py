"""The one training loop, its checkpoints and optimiser, and exact neighbours."""

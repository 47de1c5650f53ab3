"""Training on noisy labels: the probe that leaves evidence, and the robust methods."""

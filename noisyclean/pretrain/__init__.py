"""Self-supervised pre-training on the user's own images, labels ignored, and embedding."""

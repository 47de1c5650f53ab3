"""From evidence to a verdict on every label."""

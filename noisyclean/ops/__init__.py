"""Pure functions of tensors: the maths, with no device choice, no files, no state."""

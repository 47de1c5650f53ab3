"""One file for each method; the registry finds them."""

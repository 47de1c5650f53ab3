"""One file for each signal; the registry finds them."""

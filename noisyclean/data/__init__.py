"""From a folder and a table to uint8 pixels in memory: reading, decoding, storing, augmenting, corrupting."""

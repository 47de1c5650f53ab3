"""Files, randomness, devices and messages: what every other room stands on."""

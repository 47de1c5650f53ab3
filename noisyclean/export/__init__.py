"""Handing over: the model folder."""

"""Measurements against peers, in one sitting and on the same data."""

"""The command line: one short file for each verb, and nothing heavy imported before a verb runs."""

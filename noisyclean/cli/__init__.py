"""The command line: one short file for each verb, and nothing heavy imported before a verb runs.

Annotations of commands are objects, not texts: typer would compile some five hundred of them at every start.
"""

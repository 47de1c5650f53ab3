"""The main jobs, each a table of contents: every step in order, every step a stage that can be continued."""

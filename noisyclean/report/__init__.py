"""What people read: the ranked table, the summary, the page."""

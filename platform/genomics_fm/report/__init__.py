"""What people look at: the report page, its plots, and the table a run prints at its end."""

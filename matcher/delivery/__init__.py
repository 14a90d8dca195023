"""Where a master goes, what becomes of it there, and one file for each place."""

"""What a reader gets: tables, plots, pictures and the page."""

"""What goes into a paper: a report as one page, with its figures and tables as files."""

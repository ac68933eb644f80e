"""One file for each place where databases and users are found."""

"""What surrounds Valkeeper: the sandbox, and what installs and watches it."""

"""What exists: reads AWS, and says which databases and users there are."""

"""Shared mode: many clients' sessions over a few connections to their database."""

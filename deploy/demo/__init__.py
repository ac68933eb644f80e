"""The demo: Valkeeper's main job against a sandbox, on a terminal or as plain lines. Run as ``python -m deploy.demo``."""

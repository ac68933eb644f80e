"""Fixtures that every part of the tests may ask for: `sandbox`, an AWS account of this test process's own."""

pytest_plugins = ["deploy.sandbox.fixtures"]

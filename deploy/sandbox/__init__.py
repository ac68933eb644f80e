"""An AWS account on localhost with real Redis servers behind it: an environment for tests, demo and benchmarks.

Run it with ``python -m deploy.sandbox``, or from Python through `deploy.sandbox.client.SandboxProcess`.
Discovery, proxy and rotator never import it: they meet it as they meet AWS, over HTTP and TLS.
"""

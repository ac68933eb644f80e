"""What changes: rotates passwords, publishes them to proxies, answers operators."""

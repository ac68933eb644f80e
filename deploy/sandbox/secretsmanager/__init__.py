"""Secrets Manager with AWS's staging labels and request tokens, in the place of moto's."""

from moto.secretsmanager.models import secretsmanager_backends

from deploy.sandbox.secretsmanager.backend import SecretsManager

__all__ = ["SecretsManager", "install"]


def install() -> None:
    """Put this Secrets Manager in moto's place; to be called before the first request."""
    secretsmanager_backends.backend = SecretsManager

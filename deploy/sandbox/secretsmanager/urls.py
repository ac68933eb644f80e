"""Where moto's server finds the Secrets Manager calls."""

from moto.secretsmanager.urls import url_bases

from deploy.sandbox.secretsmanager.responses import SecretsManagerResponse

__all__ = ["url_bases", "url_paths"]

url_paths = {"{0}/$": SecretsManagerResponse.dispatch}

"""Where moto's server finds the STS calls."""

from moto.sts.urls import url_bases

from deploy.sandbox.sts.responses import SecurityTokenResponse

__all__ = ["url_bases", "url_paths"]

url_paths = {"{0}/$": SecurityTokenResponse.dispatch}

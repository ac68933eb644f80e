"""Where moto's server finds the ElastiCache calls."""

from moto.elasticache.urls import url_bases

from deploy.sandbox.elasticache.responses import ElastiCacheResponse

__all__ = ["url_bases", "url_paths"]

url_paths = {"{0}/$": ElastiCacheResponse.dispatch}

"""Where moto's server finds the MemoryDB calls."""

from moto.memorydb.urls import url_bases

from deploy.sandbox.memorydb.responses import MemoryDBResponse

__all__ = ["url_bases", "url_paths"]

url_paths = {"{0}/$": MemoryDBResponse.dispatch}

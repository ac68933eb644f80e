"""The calls that change serverless caches, and the real servers behind these."""

from collections.abc import Mapping
from typing import Any

from moto.elasticache.exceptions import ElastiCacheException

from deploy.sandbox.elasticache.account import Account, reconcile
from deploy.sandbox.elasticache.serverless_cache import ServerlessCache

__all__ = ["ServerlessCalls"]

_MAJOR_VERSIONS = {"redis": "7", "valkey": "8", "memcached": "1"}


class ServerlessCalls(Account):
    """Serverless caches: always TLS, always cluster mode, users only through a user group."""

    def create_serverless(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateServerlessCache: real servers, which are there when the status is `available`."""
        name, engine = params["ServerlessCacheName"].lower(), params["Engine"].lower()
        if name in self.serverless:
            raise ElastiCacheException(
                "ServerlessCacheAlreadyExistsFault", f"Serverless cache {name} already exists."
            )
        if engine not in _MAJOR_VERSIONS:
            raise ElastiCacheException("InvalidParameterValue", f"Unknown engine {engine}.")
        if params.get("UserGroupId") and engine == "memcached":
            raise ElastiCacheException("InvalidParameterCombination", "Memcached has no user groups.")
        cache = ServerlessCache(
            arn=self.arn("serverlesscache", name),
            name=name,
            description=params.get("Description", ""),
            engine=engine,
            major_engine_version=params.get("MajorEngineVersion") or _MAJOR_VERSIONS[engine],
            user_group_ids=[self.attachable(params["UserGroupId"])] if params.get("UserGroupId") else [],
            deployment=None,
        )
        if engine != "memcached":
            cache.deployment = self.world.fleet.deploy(
                self.cache(name, serverless=True),
                1,
                lambda: self.logins_of(cache),
                keys=self.world.keys,
                cluster=True,
            )
        self.serverless[name] = cache
        self.tag_new(cache.arn, params)

        def take_effect() -> None:
            status = "create-failed"
            try:
                if cache.deployment is not None:
                    cache.deployment.start()
                status = "available"
            finally:
                with self.world.lock:
                    cache.status = status

        self.world.timeline.aside(take_effect)
        return cache.shown()

    def modify_serverless(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """ModifyServerlessCache: description, and which user group reaches it."""
        cache = self._available_serverless(params["ServerlessCacheName"])
        cache.description = params.get("Description", cache.description)
        if params.get("UserGroupId"):
            group_ids = [self.attachable(params["UserGroupId"])]
        else:
            group_ids = [] if params.get("RemoveUserGroup") else cache.user_group_ids
        if group_ids == cache.user_group_ids:
            return cache.shown()
        cache.status = "modifying"

        def take_effect() -> None:
            with self.world.lock:
                cache.user_group_ids = group_ids
            reconcile([cache])
            with self.world.lock:
                cache.status = "available"

        self.world.timeline.later(take_effect)
        return cache.shown()

    def delete_serverless(self, name: str) -> dict[str, Any]:
        """DeleteServerlessCache: ends its servers."""
        cache = self._available_serverless(name)
        cache.status = "deleting"

        def take_effect() -> None:
            if cache.deployment is not None:
                self.world.fleet.retire(cache.deployment)
            with self.world.lock:
                del self.serverless[cache.name]
                self.tags.pop(cache.arn, None)

        self.world.timeline.aside(take_effect)
        return cache.shown()

    def _available_serverless(self, name: str) -> ServerlessCache:
        cache = self.serverless_cache(name)
        if cache.status != "available":
            message = f"Serverless cache {cache.name} is {cache.status}."
            raise ElastiCacheException("InvalidServerlessCacheStateFault", message)
        return cache

"""Serverless caches, and the cache clusters that replication groups are made of."""

import pytest
import redis
from botocore.exceptions import ClientError


@pytest.fixture(scope="session")
def cache(sandbox):
    """A serverless cache and its user, with the user's password."""
    password = sandbox.create_user("shared-serverless-user")
    nodes = sandbox.create_serverless_cache("shared-serverless", ["shared-serverless-user"])
    return nodes, ("shared-serverless-user", password)


def code(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"]


def described(elasticache, name):
    return elasticache.describe_serverless_caches(ServerlessCacheName=name)["ServerlessCaches"][0]


class TestServerlessCaches:
    def test_it_has_two_endpoints_and_speaks_the_cluster_protocol(self, sandbox, elasticache, cache):
        (primary, reader), login = cache
        shown = described(elasticache, "shared-serverless")
        assert shown["ARN"] == (
            f"arn:aws:elasticache:us-east-1:{sandbox.account}:serverlesscache:shared-serverless"
        )
        assert shown["Endpoint"] == {"Address": "127.0.0.1", "Port": primary.port}
        assert shown["ReaderEndpoint"] == {"Address": "127.0.0.1", "Port": reader.port}
        assert (shown["Status"], shown["Engine"], shown["UserGroupId"]) == (
            "available",
            "valkey",
            "shared-serverless-users",
        )
        assert (shown["MajorEngineVersion"], shown["FullEngineVersion"]) == ("8", "8.1")
        with sandbox.redis(primary, *login) as client:
            assert client.cluster("INFO")["cluster_state"] == "ok"
            assert client.set("key", "value")

    def test_its_user_group_knows_it(self, elasticache, cache):
        group = elasticache.describe_user_groups(UserGroupId="shared-serverless-users")["UserGroups"][0]
        assert (group["ServerlessCaches"], group["ReplicationGroups"]) == (["shared-serverless"], [])

    def test_without_its_user_group_nobody_gets_in(self, sandbox, elasticache, cache):
        (primary, _), login = cache
        change = {"ServerlessCacheName": "shared-serverless"}
        changing = elasticache.modify_serverless_cache(RemoveUserGroup=True, **change)["ServerlessCache"]
        assert changing["Status"] == "modifying"
        sandbox.settle()
        with sandbox.redis(primary, *login) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        elasticache.modify_serverless_cache(UserGroupId="shared-serverless-users", **change)
        sandbox.settle()
        with sandbox.redis(primary, *login) as client:
            assert client.ping()

    def test_tags_and_the_tagging_api(self, sandbox, elasticache, cache, unique):
        arn = described(elasticache, "shared-serverless")["ARN"]
        elasticache.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": unique, "Value": "v"}])
        found = sandbox.boto3("resourcegroupstaggingapi").get_resources(
            ResourceTypeFilters=["elasticache:serverlesscache"], TagFilters=[{"Key": unique}]
        )
        assert [one["ResourceARN"] for one in found["ResourceTagMappingList"]] == [arn]

    def test_they_come_in_pages_and_go(self, sandbox, elasticache, unique):
        # Memcached ones have no servers here.
        names = [f"{unique}-{letter}" for letter in "abc"]
        for name in names:
            created = elasticache.create_serverless_cache(ServerlessCacheName=name, Engine="memcached")
            assert (created["ServerlessCache"]["Status"], "Endpoint" in created["ServerlessCache"]) == (
                "creating",
                False,
            )
        sandbox.settle()
        pages = list(
            elasticache.get_paginator("describe_serverless_caches").paginate(PaginationConfig={"PageSize": 2})
        )
        assert all(len(page["ServerlessCaches"]) <= 2 for page in pages)
        shown = {one["ServerlessCacheName"] for page in pages for one in page["ServerlessCaches"]}
        assert set(names) <= shown
        assert code(elasticache.describe_serverless_caches, MaxResults=51) == "InvalidParameterValue"
        for name in names:
            elasticache.delete_serverless_cache(ServerlessCacheName=name)
        sandbox.settle()
        refused = code(elasticache.describe_serverless_caches, ServerlessCacheName=names[0])
        assert refused == "ServerlessCacheNotFoundFault"


class TestCacheClusters:
    def test_they_tell_engine_versions_and_node_addresses(self, elasticache, shared_database):
        name, nodes = shared_database
        pages = elasticache.get_paginator("describe_cache_clusters").paginate(ShowCacheNodeInfo=True)
        members = [
            one for page in pages for one in page["CacheClusters"] if one["ReplicationGroupId"] == name
        ]
        assert [one["CacheClusterId"] for one in members] == [f"{name}-001", f"{name}-002"]
        assert {one["EngineVersion"] for one in members} == {"7.1.0"}
        ports = [one["CacheNodes"][0]["Endpoint"]["Port"] for one in members]
        assert ports == [node.port for node in nodes]

    def test_addresses_are_told_when_asked_for(self, elasticache, shared_database):
        name, _ = shared_database
        (member,) = elasticache.describe_cache_clusters(CacheClusterId=f"{name}-001")["CacheClusters"]
        assert "CacheNodes" not in member
        assert code(elasticache.describe_cache_clusters, CacheClusterId="no") == "CacheClusterNotFound"

    def test_cluster_mode_has_them_too(self, sandbox, elasticache, unique):
        elasticache.create_replication_group(
            ReplicationGroupId=unique,
            ReplicationGroupDescription="",
            TransitEncryptionEnabled=True,
            ClusterMode="enabled",
            ReplicasPerNodeGroup=0,
            EngineVersion="6.2",
        )
        sandbox.settle()
        group = elasticache.describe_replication_groups(ReplicationGroupId=unique)["ReplicationGroups"][0]
        assert group["MemberClusters"] == [f"{unique}-0001-001"]
        (member,) = elasticache.describe_cache_clusters(
            CacheClusterId=f"{unique}-0001-001", ShowCacheNodeInfo=True
        )["CacheClusters"]
        assert (member["EngineVersion"], member["CacheNodes"][0]["Endpoint"]) == (
            "6.2.0",
            group["ConfigurationEndpoint"],
        )

"""What the host names of ElastiCache and MemoryDB tell."""

import boto3
import pytest

from discovery.hosts import AwsHost, aws_host, long_region
from discovery.model import DatabaseKind

ELASTICACHE, SERVERLESS, MEMORYDB = (
    DatabaseKind.ELASTICACHE,
    DatabaseKind.SERVERLESS,
    DatabaseKind.MEMORYDB,
)


@pytest.mark.parametrize(
    ("host", "kind", "region", "resource_id"),
    [
        # TLS on
        ("clustercfg.orders.ab12cd.use1.cache.amazonaws.com", ELASTICACHE, "us-east-1", "orders"),
        ("master.orders.ab12cd.euw1.cache.amazonaws.com", ELASTICACHE, "eu-west-1", "orders"),
        ("replica.orders-001.ab12cd.apne2.cache.amazonaws.com", ELASTICACHE, "ap-northeast-2", "orders-001"),
        ("orders-0001-001.orders.ab12cd.use1.cache.amazonaws.com", ELASTICACHE, "us-east-1", "orders"),
        ("orders-002.orders.ab12cd.use1.cache.amazonaws.com", ELASTICACHE, "us-east-1", "orders"),
        # TLS off
        ("orders.ab12cd.clustercfg.usw2.cache.amazonaws.com", ELASTICACHE, "us-west-2", "orders"),
        ("orders.ab12cd.ng.0001.use1.cache.amazonaws.com", ELASTICACHE, "us-east-1", "orders"),
        ("orders-ro.ab12cd.ng.0001.use1.cache.amazonaws.com", ELASTICACHE, "us-east-1", "orders"),
        ("orders-001.ab12cd.0001.use1.cache.amazonaws.com", ELASTICACHE, "us-east-1", "orders"),
        ("orders-0001-002.ab12cd.0001.use1.cache.amazonaws.com", ELASTICACHE, "us-east-1", "orders"),
        # The others
        ("my-carts-x1y2z3.serverless.use1.cache.amazonaws.com", SERVERLESS, "us-east-1", "my-carts"),
        ("clustercfg.orders.ab12cd.memorydb.eu-west-1.amazonaws.com", MEMORYDB, "eu-west-1", "orders"),
        ("orders-0001-001.orders.ab12cd.memorydb.us-east-1.amazonaws.com", MEMORYDB, "us-east-1", "orders"),
        # China
        ("master.orders.ab12cd.cnn1.cache.amazonaws.com.cn", ELASTICACHE, "cn-north-1", "orders"),
        ("carts-x1y2z3.serverless.cnw1.cache.amazonaws.com.cn", SERVERLESS, "cn-northwest-1", "carts"),
        ("clustercfg.orders.ab12cd.memorydb.cn-north-1.amazonaws.com.cn", MEMORYDB, "cn-north-1", "orders"),
        # A region that follows no rule is for the configuration to name.
        ("master.orders.ab12cd.moon1.cache.amazonaws.com", ELASTICACHE, None, "orders"),
    ],
)
def test_every_shape_tells_kind_region_and_id(host, kind, region, resource_id):
    assert aws_host(host) == AwsHost(kind, region, resource_id)
    assert aws_host(f"{host.upper()}.") == AwsHost(kind, region, resource_id)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.0.0.1",
        "::1",
        "localhost",
        "redis.internal.example",
        "cache.amazonaws.com",
        "use1.cache.amazonaws.com",
        "serverless.use1.cache.amazonaws.com",
        "carts.serverless.use1.cache.amazonaws.com",
        "orders.use1.cache.amazonaws.com",
        "memorydb.us-east-1.amazonaws.com",
        "s3.us-east-1.amazonaws.com",
        "master.orders.ab12cd.use1.cache.amazonaws.com.example",
        "master.orders.ab12cd.use1.cache.amazonaws.co",
        "master..ab12cd.use1.cache.amazonaws.com",
    ],
)
def test_other_names_tell_nothing(host):
    assert aws_host(host) is None


def short(region):
    """How ElastiCache writes a region, but for the exceptions."""
    area, direction, number = region.replace("us-gov", "usg").rsplit("-", 2)
    letters = direction[0]
    for first in ("north", "south"):
        if direction.startswith(first):
            letters = first[0] + direction[len(first) :][:1]
    return f"{area}{letters}{number}"


def test_the_short_names_of_all_regions_are_read():
    session = boto3.Session()
    regions = [
        region
        for partition in ("aws", "aws-cn", "aws-us-gov")
        for region in session.get_available_regions("elasticache", partition_name=partition)
    ]
    assert len(regions) > 30
    assert {region: long_region(short(region)) for region in regions} == {one: one for one in regions}
    assert len({short(region) for region in regions}) == len(regions)


@pytest.mark.parametrize(
    ("written", "region"),
    [
        ("use1", "us-east-1"),
        ("apse2", "ap-southeast-2"),
        ("euc1", "eu-central-1"),
        ("ugw1", "us-gov-west-1"),
        ("usge1", "us-gov-east-1"),
        ("cnnw1", "cn-northwest-1"),
        ("cnw1", "cn-northwest-1"),
        ("us-east-1", None),
        ("use", None),
        ("", None),
    ],
)
def test_short_names_by_example(written, region):
    assert long_region(written) == region

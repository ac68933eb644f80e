"""Answers as ElastiCache gives them, to be varied by tests."""

from discovery.model import Place

PLACE = Place("111111111111", "us-east-1")


def endpoint(host, port=6379):
    return {"Address": host, "Port": port}


def group_arn(group_id):
    return f"arn:aws:elasticache:{PLACE.region}:{PLACE.account}:replicationgroup:{group_id}"


def user_arn(user_id):
    return f"arn:aws:elasticache:{PLACE.region}:{PLACE.account}:user:{user_id}"


def group(group_id="orders", **changes):
    """A replication group with cluster mode off, a primary and a replica, and one user group."""
    host = f"{group_id}.abc123.use1.cache.amazonaws.com"
    return {
        "ReplicationGroupId": group_id,
        "ARN": group_arn(group_id),
        "Description": f"The {group_id}",
        "Status": "available",
        "Engine": "valkey",
        "ClusterEnabled": False,
        "TransitEncryptionEnabled": True,
        "UserGroupIds": ["staff"],
        "NodeGroups": [
            {
                "NodeGroupId": "0001",
                "PrimaryEndpoint": endpoint(f"master.{host}"),
                "ReaderEndpoint": endpoint(f"replica.{host}"),
                "NodeGroupMembers": [
                    {
                        "CacheClusterId": f"{group_id}-00{number}",
                        "ReadEndpoint": endpoint(f"{group_id}-00{number}.{host}"),
                    }
                    for number in (1, 2)
                ],
            }
        ],
    } | changes


def user(user_id="app", **changes):
    """An active user with a password, in one user group."""
    return {
        "UserId": user_id,
        "UserName": user_id,
        "ARN": user_arn(user_id),
        "Status": "active",
        "Engine": "redis",
        "AccessString": "on ~* +@all",
        "UserGroupIds": ["staff"],
        "Authentication": {"Type": "password", "PasswordCount": 1},
    } | changes

"""Users and databases for tests and demo, made through AWS's API in a call each."""

from collections.abc import Sequence
from typing import Any

from deploy.sandbox.acl import EVERYTHING
from deploy.sandbox.controls import Controls, NodeInfo, Service
from deploy.sandbox.holdings import MANAGED_TAG, new_password

__all__ = ["Provisioning"]


class Provisioning(Controls):
    """What an account's owner does in a console."""

    def boto3(self, service: str, *, region: str | None = None, **options: Any) -> Any:
        """Return a boto3 client."""
        raise NotImplementedError

    def create_user(
        self,
        user_id: str,
        *,
        name: str | None = None,
        password: str | None = None,
        access_string: str = EVERYTHING,
        managed: bool = False,
        engine: str = "redis",
    ) -> str:
        """Create a user, tagged as managed or not, and return its password (a random one by default)."""
        password = password or new_password()
        self.boto3("elasticache").create_user(
            UserId=user_id,
            UserName=name or user_id,
            Engine=engine,
            AccessString=access_string,
            Passwords=[password],
            Tags=[MANAGED_TAG] if managed else [],
        )
        return password

    def create_replication_group(
        self,
        group_id: str,
        users: Sequence[str] = (),
        *,
        replicas: int = 1,
        cluster: bool = False,
        wait: bool = True,
    ) -> list[NodeInfo]:
        """Create a database that the existing `users` (ids) reach, through a user group `<group_id>-users`.

        The group's `default` user is switched off, as is AWS's advice.

        Returns:
            Its servers, primary first; none is up yet without `wait`.
        """
        elasticache = self.boto3("elasticache")
        elasticache.create_user(
            UserId=f"{group_id}-default",
            UserName="default",
            Engine="redis",
            AccessString="off -@all",
            NoPasswordRequired=True,
        )
        elasticache.create_user_group(
            UserGroupId=f"{group_id}-users", Engine="redis", UserIds=[f"{group_id}-default", *users]
        )
        elasticache.create_replication_group(
            ReplicationGroupId=group_id,
            ReplicationGroupDescription=group_id,
            Engine="redis",
            TransitEncryptionEnabled=True,
            UserGroupIds=[f"{group_id}-users"],
            ReplicasPerNodeGroup=replicas,
            ClusterMode="enabled" if cluster else "disabled",
        )
        if wait:
            self.settle()
        return self.nodes(group_id, "elasticache")

    def create_memorydb_user(
        self,
        name: str,
        *,
        password: str | None = None,
        access_string: str = EVERYTHING,
        managed: bool = False,
    ) -> str:
        """Create a MemoryDB user, tagged as managed or not, and return its password (a random one by default)."""
        password = password or new_password()
        self.boto3("memorydb").create_user(
            UserName=name,
            AuthenticationMode={"Type": "password", "Passwords": [password]},
            AccessString=access_string,
            Tags=[MANAGED_TAG] if managed else [],
        )
        return password

    def create_iam_user(
        self,
        user_id: str,
        *,
        name: str | None = None,
        access_string: str = EVERYTHING,
        service: Service = "elasticache",
    ) -> None:
        """Create a user that logs in with tokens."""
        how = {"AccessString": access_string, "AuthenticationMode": {"Type": "iam"}}
        if service == "memorydb":
            self.boto3(service).create_user(UserName=user_id, **how)
        else:
            self.boto3(service).create_user(UserId=user_id, UserName=name or user_id, Engine="redis", **how)

    def create_memorydb_cluster(
        self, name: str, users: Sequence[str] = (), *, replicas: int = 1, wait: bool = True
    ) -> list[NodeInfo]:
        """Create a MemoryDB cluster that the existing `users` reach, through an ACL `<name>-acl`.

        Returns:
            Its servers, primary first; none is up yet without `wait`.
        """
        memorydb = self.boto3("memorydb")
        memorydb.create_acl(ACLName=f"{name}-acl", **({"UserNames": list(users)} if users else {}))
        memorydb.create_cluster(
            ClusterName=name,
            NodeType="db.t4g.small",
            ACLName=f"{name}-acl",
            NumReplicasPerShard=replicas,
        )
        if wait:
            self.settle()
        return self.nodes(name, "memorydb")

    def create_serverless_cache(
        self, name: str, users: Sequence[str] = (), *, engine: str = "valkey", wait: bool = True
    ) -> list[NodeInfo]:
        """Create a serverless cache that the existing `users` (ids) reach, through a user group `<name>-users`.

        Returns:
            Its servers, primary first; none is up yet without `wait`.
        """
        elasticache = self.boto3("elasticache")
        elasticache.create_user_group(UserGroupId=f"{name}-users", Engine="valkey", UserIds=list(users))
        elasticache.create_serverless_cache(
            ServerlessCacheName=name, Engine=engine, UserGroupId=f"{name}-users"
        )
        if wait:
            self.settle()
        return self.nodes(name, "elasticache")

    def user_arn(self, user_id: str, service: Service = "elasticache") -> str:
        """Return a user's ARN: MemoryDB's have a slash where ElastiCache's have a colon."""
        kind = "user/" if service == "memorydb" else "user:"
        return f"arn:aws:{service}:{self.region}:{self.account}:{kind}{user_id}"

    def tag(
        self,
        user_id: str,
        key: str = MANAGED_TAG["Key"],
        value: str = MANAGED_TAG["Value"],
        *,
        service: Service = "elasticache",
    ) -> None:
        """Tag a user: by default as managed."""
        arn, tags = self.user_arn(user_id, service), [{"Key": key, "Value": value}]
        if service == "memorydb":
            self.boto3(service).tag_resource(ResourceArn=arn, Tags=tags)
        else:
            self.boto3(service).add_tags_to_resource(ResourceName=arn, Tags=tags)

    def untag(self, user_id: str, key: str = MANAGED_TAG["Key"], *, service: Service = "elasticache") -> None:
        """Take a tag away: by default the managed one."""
        arn = self.user_arn(user_id, service)
        if service == "memorydb":
            self.boto3(service).untag_resource(ResourceArn=arn, TagKeys=[key])
        else:
            self.boto3(service).remove_tags_from_resource(ResourceName=arn, TagKeys=[key])

"""One region of the sandbox's account, which no other test of these kinds looks at, and a scanner that reads it."""

from collections import Counter

from discovery.scanner import Scanner
from discovery.settings import DiscoverySettings
from discovery.sources.configured import configured_sources

TAG = "teleport.dev/managed"
MANAGED = {"Key": TAG, "Value": "true"}
DENIED = {"action": "fail", "code": "AccessDenied", "status": 403, "count": None}
EVERY_KIND = ("elasticache", "elasticache-serverless", "memorydb")

_ACCESS = "on ~* +@all"
_PASSWORD = "long-enough-for-aws"
_IAM_NAMES = {"resourcegroupstaggingapi": "tag"}


class Region:
    """What an account's owner does in one region, and what Valkeeper then sees."""

    def __init__(self, sandbox, name, sessions, types=("elasticache",)):
        self.sandbox = sandbox
        self.name = name
        self.elasticache = sandbox.boto3("elasticache", region=name)
        self._sessions = sessions
        self.scanner = self.new_scanner(types)
        self._seen = 0

    @property
    def memorydb(self):
        return self.sandbox.boto3("memorydb", region=self.name)

    def new_scanner(self, types):
        settings = DiscoverySettings.model_validate({"sources": [{"types": types, "regions": [self.name]}]})
        return Scanner(configured_sources(settings, [], self._sessions, default_region=None))

    def user(self, user_id, *, managed=False):
        return self.elasticache.create_user(
            UserId=user_id,
            UserName=user_id,
            Engine="valkey",
            AccessString=_ACCESS,
            Passwords=[_PASSWORD],
            Tags=[MANAGED] if managed else [],
        )["ARN"]

    def user_group(self, group_id, users):
        self.elasticache.create_user_group(UserGroupId=group_id, Engine="valkey", UserIds=users)
        self.sandbox.settle()

    def replication_group(self, group_id, user_groups=(), *, tls=True, tags=(), settle=True, **options):
        self.elasticache.create_replication_group(
            ReplicationGroupId=group_id,
            ReplicationGroupDescription=group_id,
            Engine="valkey",
            TransitEncryptionEnabled=tls,
            Tags=list(tags),
            **({"UserGroupIds": list(user_groups)} if user_groups else {}),
            **options,
        )
        if settle:
            self.sandbox.settle()

    def serverless_cache(self, name, user_group=None, *, engine="valkey", tags=(), settle=True):
        """A memcached one has no servers here."""
        self.elasticache.create_serverless_cache(
            ServerlessCacheName=name,
            Engine=engine,
            Tags=list(tags),
            **({"UserGroupId": user_group} if user_group else {}),
        )
        if settle:
            self.sandbox.settle()

    def memorydb_user(self, name, *, managed=False):
        return self.memorydb.create_user(
            UserName=name,
            AuthenticationMode={"Type": "password", "Passwords": [_PASSWORD]},
            AccessString=_ACCESS,
            Tags=[MANAGED] if managed else [],
        )["User"]["ARN"]

    def acl(self, name, users):
        self.memorydb.create_acl(ACLName=name, UserNames=users)
        self.sandbox.settle()

    def cluster(self, name, acl="open-access", *, tls=True, tags=(), replicas=0, settle=True):
        """Without TLS it has no servers here."""
        self.memorydb.create_cluster(
            ClusterName=name,
            NodeType="db.t4g.small",
            ACLName=acl,
            TLSEnabled=tls,
            NumReplicasPerShard=replicas,
            Tags=list(tags),
        )
        if settle:
            self.sandbox.settle()

    async def scan(self):
        """An inventory, and how often each operation was called for it in this region, as `service.Operation`."""
        self._new_requests()
        await self.scanner.scan()
        entries = self._new_requests()
        calls = Counter(
            f"{_IAM_NAMES.get(entry['service'], entry['service'])}.{entry['operation']}"
            for entry in entries
            if entry["region"] == self.name and entry["operation"] != "GetCallerIdentity"
        )
        return self.scanner.inventory, dict(calls)

    async def start(self):
        """A first scan, so that what a test counts is a pass like any other."""
        await self.scan()

    def _new_requests(self):
        entries = self.sandbox.requests(self._seen)
        self._seen = max((entry["sequence"] for entry in entries), default=self._seen)
        return entries


def managed(inventory):
    """Which users are managed, by id."""
    return {user.key.id: user.managed for user in inventory.users.values()}


def skipped(logs):
    """The resources that a scan's log says were left out."""
    return [one["resource"] for one in logs if one["event"] == "resource_skipped"]

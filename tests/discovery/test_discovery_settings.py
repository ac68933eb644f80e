from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from discovery.aws import Sessions
from discovery.errors import ConfigurationError
from discovery.model import DatabaseKind, Endpoint, Role
from discovery.settings import DiscoverySettings
from discovery.sources.configured import configured_sources
from discovery.static_settings import StaticDatabases, StaticDatabaseSettings

PASSWORD = "canary-5aa1f0"
ROLE = "arn:aws:iam::123456789012:role/valkeeper"


def refusal(model, value):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(value)
    return caught.value


def test_without_a_configuration_every_kind_is_read_every_five_minutes():
    settings = DiscoverySettings()
    assert settings.interval == timedelta(minutes=5)
    [source] = settings.sources
    assert set(source.types) == set(DatabaseKind) - {DatabaseKind.STATIC}
    assert source.regions == ()
    assert source.tags == {"*": ("*",)}


def test_sources_are_read_as_people_write_them():
    settings = DiscoverySettings.model_validate(
        {
            "interval": "90s",
            "sources": [
                {
                    "types": ["elasticache"],
                    "regions": ["us-east-1", "us-gov-west-1"],
                    "tags": {"env": ["prod", "test"]},
                    "assume_role_arn": None,
                    "external_id": None,
                }
            ],
        }
    )
    assert settings.interval == timedelta(seconds=90)
    assert settings.sources[0].tags == {"env": ("prod", "test")}


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"interval": "soon"}, "length of time"),
        ({"interval": "0s"}, "more than nothing"),
        ({"intervall": "5m"}, "Extra inputs"),
        ({"sources": [{"types": ["static"]}]}, "allowed are elasticache, elasticache-serverless, memorydb"),
        ({"sources": [{"types": ["rds"]}]}, "allowed are"),
        ({"sources": [{"types": []}]}, "at least 1 item"),
        ({"sources": [{"regions": ["us-east-1a"]}]}, "such as us-east-1"),
        ({"sources": [{"tags": {}}]}, "selects nothing"),
        (
            {"sources": [{"assume_role_arn": "arn:aws:iam::1:role/x"}]},
            "arn:aws:iam::123456789012:role/valkeeper",
        ),
        ({"sources": [{"assume_role_arn": "valkeeper"}]}, "expected a role's ARN"),
        ({"sources": [{"assume_role_arn": ROLE, "external_id": "x"}]}, "2 to 1224 characters"),
        ({"sources": [{"external_id": "an-external-id"}]}, "external_id is only for a role"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(section, said):
    assert said in str(refusal(DiscoverySettings, section))


def legacy(**changes):
    return {"name": "legacy", "uri": "rediss://redis.internal.example:6380"} | changes


def test_a_static_database_is_read_with_all_its_keys():
    [database] = TypeAdapter(StaticDatabases).validate_python(
        [
            legacy(
                tls={"mode": "verify-ca", "server_name": "redis.example", "ca_file": "/etc/ca.pem"},
                labels={"env": "prod"},
                description="The old one",
                users=[{"name": "batch", "password_file": "/etc/valkeeper/batch.password"}],
            )
        ]
    )
    assert database.endpoint == Endpoint("redis.internal.example", 6380)
    assert database.tls.server_name == "redis.example"
    assert database.users[0].name == "batch"


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("rediss://redis.example", Endpoint("redis.example", 6379)),
        ("rediss://redis.example:7000/", Endpoint("redis.example", 7000)),
        ("rediss://[2001:db8::1]:7000", Endpoint("2001:db8::1", 7000)),
    ],
)
def test_a_uri_is_a_host_and_a_port(uri, endpoint):
    assert StaticDatabaseSettings.model_validate(legacy(uri=uri)).endpoint == endpoint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uri": "redis://redis.example:6379"}, "plain redis:// is refused"),
        ({"uri": "rediss://redis.example:6379?mode=sentinel"}, "expected rediss://host:port"),
        ({"uri": "rediss://redis.example:6379?protocol=3"}, "expected rediss://host:port"),
        ({"uri": "rediss://redis.example:6379/2"}, "SELECT"),
        ({"uri": "rediss://redis.example:99999"}, "expected rediss://host:port"),
        ({"uri": "rediss://:6379"}, "expected rediss://host:port"),
        ({"uri": "rediss://[redis"}, "expected rediss://host:port"),
        ({"uri": "redis.example:6379"}, "expected rediss://host:port"),
        ({"name": "Legacy"}, "a-z, 0-9 and -"),
        ({"name": "x" * 64}, "1 to 63"),
        ({"name": ""}, "1 to 63"),
        ({"tls": {"mode": "insecure"}}, "verify-full"),
        (
            {"users": [{"name": "a", "secret": "x", "password_file": "y"}]},
            "either a password_file or a secret",
        ),
        ({"users": [{"name": "a", "secret": "no secret's name"}]}, "name or ARN of a secret"),
        ({"users": [{"name": "a", "password_file": "x"}] * 2}, "repeated: a"),
        ({"users": [{"name": "a"}]}, "either a password_file or a secret"),
        ({"aws": {"region": "here"}}, "such as us-east-1"),
        ({"aws": {"account_id": "42"}}, "pattern"),
        ({"aws": {"type": "static"}}, "allowed are elasticache"),
        ({"aws": {"external_id": "an-external-id"}}, "external_id is only for a role"),
        ({"aws": {"resource_id": "orders"}}, "needs aws.type"),
        ({"aws": {"regions": ["us-east-1"]}}, "Extra inputs"),
    ],
)
def test_a_static_database_that_cannot_be_is_refused(changes, said):
    assert said in str(refusal(StaticDatabaseSettings, legacy(**changes)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uri": f"rediss://app:{PASSWORD}@redis.example:6379"}, "password_file"),
        ({"uri": f"redis://:{PASSWORD}@redis.example"}, "password_file"),
        ({"uri": f"rediss://redis.example?password={PASSWORD}"}, "password_file"),
        ({"uri": f"rediss://app:{PASSWORD}@[redis", "port": 1}, "password_file"),
        ({"users": [{"name": "app", "password": PASSWORD}]}, "Extra inputs"),
        ({"users": [{"name": "app", "secret": f"{PASSWORD}#"}]}, "not the password itself"),
        (
            {"users": [{"name": "app", "secret": PASSWORD, "password_file": PASSWORD}]},
            "either a password_file or a secret",
        ),
        ({"users": [{"name": "app", "secret": [PASSWORD]}]}, "name or ARN of a secret"),
        ({"users": [PASSWORD]}, "valid dictionary"),
    ],
)
def test_a_password_in_the_configuration_is_refused_and_not_repeated(changes, said):
    error = refusal(StaticDatabases, [legacy(**changes)])
    assert said in str(error)
    assert PASSWORD not in str(error)
    assert PASSWORD not in repr(error.errors())


def test_a_role_and_its_external_id():
    section = {
        "sources": [{"assume_role_arn": ROLE, "external_id": "an-external-id"}, {"assume_role_arn": ROLE}, {}]
    }
    roles = [source.role for source in DiscoverySettings.model_validate(section).sources]
    assert roles == [Role(ROLE, "an-external-id"), Role(ROLE), None]


@pytest.mark.parametrize(("query", "is_cluster"), [("", False), ("?mode=cluster", True)])
def test_a_uri_says_whether_it_is_a_cluster(query, is_cluster):
    assert (
        StaticDatabaseSettings.model_validate(legacy(uri=f"rediss://a:1{query}")).cluster_mode is is_cluster
    )


def test_two_static_databases_of_one_name_are_refused():
    assert "repeated: legacy" in str(refusal(StaticDatabases, [legacy(), legacy()]))


def names(section, *, default_region=None, databases=()):
    settings = DiscoverySettings.model_validate(section)
    sources = configured_sources(settings, databases, Sessions(), default_region=default_region)
    return [source.name for source in sources]


def test_every_type_and_region_of_every_entry_is_a_source():
    one, two = ["elasticache"], ["elasticache", "memorydb", "memorydb"]
    section = {
        "sources": [
            {"types": one, "regions": ["us-east-1", "eu-west-1"]},
            {"types": two, "regions": ["us-east-1", "us-east-1"]},
        ]
    }
    assert names(section) == [
        "elasticache/us-east-1",
        "elasticache/eu-west-1",
        "elasticache/us-east-1/1",
        "memorydb/us-east-1",
    ]


def test_without_regions_the_default_one_is_read():
    assert names({}, default_region="eu-central-1") == [
        "elasticache/eu-central-1",
        "elasticache-serverless/eu-central-1",
        "memorydb/eu-central-1",
    ]


def test_without_any_region_the_error_says_what_to_do():
    with pytest.raises(ConfigurationError, match=r"sources\[0\].regions.*AWS_REGION"):
        names({})


def test_without_sources_nothing_of_aws_is_needed():
    databases = TypeAdapter(StaticDatabases).validate_python([legacy()])
    assert names({"sources": []}, databases=databases) == ["static"]
    assert names({"sources": []}) == []

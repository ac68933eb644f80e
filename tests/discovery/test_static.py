from discovery.model import Database, DatabaseKind, Endpoint, HandedOnUser, Tls
from discovery.sources.static import StaticSource
from discovery.static_settings import StaticDatabaseSettings


async def test_a_static_database_is_what_the_configuration_says():
    settings = StaticDatabaseSettings.model_validate(
        {
            "name": "legacy",
            "uri": "rediss://redis.internal.example",
            "tls": {"ca_file": "/etc/ca.pem"},
            "labels": {"env": "prod"},
            "users": [{"name": "batch", "password_file": "/run/batch.password"}],
        }
    )
    answer = await StaticSource([settings]).read()
    [found] = answer.databases
    assert found.fixed
    assert found.database == Database(
        name="legacy",
        kind=DatabaseKind.STATIC,
        endpoint=Endpoint("redis.internal.example", 6379),
        tls=Tls(ca_file="/etc/ca.pem"),
        labels={"env": "prod"},
        handed_on=(HandedOnUser("batch", "/run/batch.password"),),
    )
    assert answer.users == ()

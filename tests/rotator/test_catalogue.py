"""The directory that proxies serve from, composed of inventories and credentials."""

from discovery.model import Authentication, DatabaseKind, HandedOnUser
from proxy.directory import Directory
from rotator.catalogue import Catalogue, handed_on_key
from tests.rotator.records import credential, database, inventory, user, user_key

APP = str(user_key())


def known(*users, **changes):
    catalogue = Catalogue()
    catalogue.take_inventory(inventory(*users, **changes))
    return catalogue


def test_every_change_is_an_update_that_makes_the_same_directory():
    catalogue, mirror = Catalogue(), Directory()
    for take, what in (
        (catalogue.take_inventory, inventory(user())),
        (catalogue.take_credentials, [credential()]),
        (catalogue.take_credentials, [credential(version="v2")]),
        (catalogue.take_inventory, inventory(user(), user("web"), databases=("orders", "orders-reader"))),
        (catalogue.take_inventory, inventory(user("web"), databases=("orders",))),
        (catalogue.drop_credentials, []),
    ):
        update = take(what)
        mirror = mirror.updated(update) if update is not None else mirror
        assert mirror == catalogue.directory


def test_nothing_changed_is_nothing_to_say():
    catalogue = known(user())
    catalogue.take_credentials([credential()])
    assert catalogue.take_credentials([credential()]) is None
    assert catalogue.take_inventory(inventory(user())) is None


def test_a_managed_user_is_named_before_its_password_is_known():
    """So that a proxy which knows the password from an earlier rotator goes on using it."""
    catalogue = known(user())
    assert catalogue.directory.databases["orders"].users == {"app": APP}
    assert catalogue.directory.credential("orders", "app") is None


def test_a_released_user_is_named_and_an_untagged_one_is_not():
    catalogue = Catalogue()
    catalogue.take_inventory(
        inventory(user(managed=False), user("other", managed=False)), released=[user_key()]
    )
    assert catalogue.directory.databases["orders"].users == {"app": APP}


def test_a_replaced_password_changes_no_database():
    catalogue = known(user())
    catalogue.take_credentials([credential()])
    update = catalogue.take_credentials([credential(version="v2")])
    assert (update.databases, [one.version for one in update.credentials]) == ((), ["v2"])


def test_a_credential_goes_with_its_user():
    catalogue = known(user())
    catalogue.take_credentials([credential()])
    update = catalogue.take_inventory(inventory())
    assert update.removed_credentials == (APP,)
    assert catalogue.directory.credentials == {}


def test_since_when_a_version_has_been_served():
    catalogue = known(user())
    catalogue.take_credentials([credential()])
    first = catalogue.since(APP, "v1")
    catalogue.take_credentials([credential(version="v2")])
    assert catalogue.since(APP, "v1") is None
    assert catalogue.since(APP, "v2") == catalogue.directory.version > first


def test_the_answer_to_a_rejection_holds_the_credential_changed_or_not():
    catalogue = known(user())
    catalogue.take_credentials([credential()])
    assert catalogue.again(APP).credentials == (credential(),)
    assert catalogue.again("nobody").removed_credentials == ("nobody",)


def test_a_static_database_names_its_own_users():
    static = database(
        "legacy", kind=DatabaseKind.STATIC, place=None, handed_on=(HandedOnUser("batch", "/a/file"),)
    )
    catalogue = known(databases=(static,))
    assert catalogue.directory.databases["legacy"].users == {"batch": handed_on_key("legacy", "batch")}


def iam_user(**changes):
    return user("reporting", managed=False, authentication=Authentication.IAM, **changes)


def test_an_iam_user_is_known_by_a_key_for_each_cache_and_endpoints_of_one_cache_share_it():
    orders, reader = database(resource_id="orders"), database("orders-reader", resource_id="orders")
    other = database("other", resource_id="other")
    one = iam_user(databases=("orders", "orders-reader", "other"))
    users = {
        name: entry.users["reporting"]
        for name, entry in known(one, databases=(orders, reader, other)).directory.databases.items()
    }
    assert users["orders"] == users["orders-reader"] == f"{one.key}/cache/orders"
    assert users["other"] == f"{one.key}/cache/other"


def test_an_iam_user_that_can_have_no_token_is_passed_through():
    catalogue = known(iam_user(), databases=(database(resource_id="orders", engine_version="6.2"),))
    assert catalogue.directory.databases["orders"].users == {}


def test_a_token_goes_when_its_user_takes_a_password():
    catalogue = known(iam_user(), databases=(database(resource_id="orders"),))
    token = credential(f"{iam_user().key}/cache/orders", kind="iam")
    catalogue.take_credentials([token])
    update = catalogue.take_inventory(
        inventory(user("reporting"), databases=(database(resource_id="orders"),))
    )
    assert update.removed_credentials == (token.key,)


def heir(*, of, users, own=()):
    """What a proxy serves when a rotator's directory takes over from another's."""
    newer, older = known(*users), known(user())
    newer.take_credentials(own)
    older.take_credentials(of)
    return newer.directory.heir_of(older.directory)


def test_a_new_rotators_directory_inherits_what_it_does_not_know_yet():
    assert heir(of=[credential()], users=[user()]).credential("orders", "app") == credential()


def test_it_inherits_nothing_that_it_knows_better():
    newer = credential(version="v2")
    assert heir(of=[credential()], users=[user()], own=[newer]).credential("orders", "app") == newer


def test_it_inherits_nothing_for_a_user_that_is_no_longer_logged_in():
    assert heir(of=[credential()], users=[user(managed=False)]).credentials == {}

from discovery.changes import Change, ChangeKind, changes
from discovery.model import Endpoint, Inventory, UserStatus
from tests.discovery.records import database, user


def inventory(databases=(), users=()):
    return Inventory({one.name: one for one in databases}, {one.key: one for one in users})


ORDERS, STOCK = database("orders"), database("stock")
APP = user("app", ["orders"])
MANAGED_APP = user("app", ["orders"], managed=True)


def test_the_same_inventory_has_no_changes():
    assert changes(inventory([ORDERS], [APP]), inventory([ORDERS], [APP])) == ()


def test_everything_of_a_first_scan_is_found():
    assert changes(Inventory(), inventory([STOCK, ORDERS], [MANAGED_APP])) == (
        Change(ChangeKind.DATABASE_FOUND, ORDERS),
        Change(ChangeKind.DATABASE_FOUND, STOCK),
        Change(ChangeKind.USER_FOUND, MANAGED_APP),
    )


def test_what_is_gone_is_told_as_it_last_was():
    assert changes(inventory([ORDERS], [APP]), Inventory()) == (
        Change(ChangeKind.DATABASE_GONE, ORDERS),
        Change(ChangeKind.USER_GONE, APP),
    )


def test_a_database_that_moved_has_changed():
    moved = database("orders", endpoint=Endpoint("new.example", 6379))
    assert changes(inventory([ORDERS]), inventory([moved])) == (Change(ChangeKind.DATABASE_CHANGED, moved),)


def test_a_tag_gained_and_lost_are_changes_of_the_user():
    gained = changes(inventory([ORDERS], [APP]), inventory([ORDERS], [MANAGED_APP]))
    assert gained == (Change(ChangeKind.USER_TAGGED, MANAGED_APP),)
    lost = changes(inventory([ORDERS], [MANAGED_APP]), inventory([ORDERS], [APP]))
    assert lost == (Change(ChangeKind.USER_UNTAGGED, APP),)


def test_a_passing_status_is_not_news():
    modifying = user("app", ["orders"], status=UserStatus.MODIFYING)
    assert changes(inventory([ORDERS], [APP]), inventory([ORDERS], [modifying])) == ()

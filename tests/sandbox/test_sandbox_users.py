"""ElastiCache users, groups and tags, as boto3 sees them."""

import pytest
from botocore.exceptions import ClientError

PASSWORD = "p" * 16


def create(elasticache, user_id, **changes):
    user = {"UserId": user_id, "UserName": user_id, "Engine": "redis", "AccessString": "on ~* +@all"}
    return elasticache.create_user(**({**user, "Passwords": [PASSWORD]} | changes))


def code(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"]


def status(elasticache, user_id):
    return elasticache.describe_users(UserId=user_id)["Users"][0]["Status"]


def test_ids_are_lower_case_and_arns_have_colons(sandbox, elasticache, unique):
    created = create(elasticache, unique.upper(), UserName=unique)
    assert created["UserId"] == unique
    assert created["ARN"] == f"arn:aws:elasticache:us-east-1:{sandbox.account}:user:{unique}"
    assert elasticache.describe_users(UserId=unique.upper())["Users"][0]["UserId"] == unique


def test_a_password_is_counted_and_never_shown(elasticache, unique):
    create(elasticache, unique)
    answer = elasticache.describe_users(UserId=unique)
    assert answer["Users"][0]["Authentication"] == {"Type": "password", "PasswordCount": 1}
    assert PASSWORD not in str(answer)


def test_tests_see_the_passwords_of_every_change(sandbox, elasticache, unique):
    create(elasticache, unique)
    sets = [[PASSWORD, PASSWORD + "2"], [PASSWORD + "2"]]
    for passwords in sets:
        elasticache.modify_user(UserId=unique, Passwords=passwords)
        sandbox.settle()
    assert sandbox.password_changes(unique) == sets


def test_the_three_ways_to_authenticate(elasticache, unique):
    mode = {"Passwords": [PASSWORD, PASSWORD + "2"], "Type": "password"}
    kinds = {
        "a": {"AuthenticationMode": mode},
        "b": {"AuthenticationMode": {"Type": "iam"}},
        "c": {"AuthenticationMode": {"Type": "no-password-required"}},
        "d": {"NoPasswordRequired": True},
    }
    shown = {
        suffix: elasticache.create_user(
            UserId=unique + suffix,
            UserName=unique + suffix,
            Engine="redis",
            AccessString="on ~* +@all",
            **kind,
        )["Authentication"]
        for suffix, kind in kinds.items()
    }
    assert shown["a"] == {"Type": "password", "PasswordCount": 2}
    assert shown["b"] == {"Type": "iam"}
    assert shown["c"] == shown["d"] == {"Type": "no-password"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Passwords": ["short"]}, "InvalidParameterValue"),
        ({"Passwords": ["x" * 129]}, "InvalidParameterValue"),
        ({"Passwords": [PASSWORD + ","]}, "InvalidParameterValue"),
        ({"Passwords": [PASSWORD + '"']}, "InvalidParameterValue"),
        ({"Passwords": [PASSWORD + "/"]}, "InvalidParameterValue"),
        ({"Passwords": [PASSWORD + "@"]}, "InvalidParameterValue"),
        ({"Passwords": [PASSWORD + "\n"]}, "InvalidParameterValue"),
        ({"Passwords": [PASSWORD, PASSWORD + "2", PASSWORD + "3"]}, "InvalidParameterValue"),
        ({"NoPasswordRequired": True}, "InvalidParameterCombination"),
        ({"AuthenticationMode": {"Type": "iam"}}, "InvalidParameterCombination"),
        ({"AccessString": "on >secret"}, "InvalidParameterValue"),
        ({"Engine": "memcached"}, "InvalidParameterValue"),
    ],
)
def test_what_aws_refuses_in_a_new_user(elasticache, unique, changes, expected):
    assert code(create, elasticache=elasticache, user_id=unique, **changes) == expected


def test_an_iam_user_has_its_id_for_a_name(elasticache, unique):
    iam = {"UserId": unique, "UserName": "other", "Engine": "redis", "AccessString": "on ~* +@all"}
    assert code(elasticache.create_user, **iam, AuthenticationMode={"Type": "iam"}) == "InvalidParameterValue"


def test_an_id_is_taken_once_and_unknown_ids_are_not_found(elasticache, unique):
    create(elasticache, unique)
    assert code(create, elasticache=elasticache, user_id=unique) == "UserAlreadyExists"
    for call in (elasticache.describe_users, elasticache.modify_user, elasticache.delete_user):
        assert code(call, UserId="nobody") == "UserNotFound"


def test_a_modified_user_is_modifying_and_refuses_another_change(sandbox, elasticache, unique):
    create(elasticache, unique)
    sandbox.set_modify_delay(60)
    try:
        modified = elasticache.modify_user(UserId=unique, Passwords=[PASSWORD, PASSWORD + "2"])
        assert modified["Status"] == status(elasticache, unique) == "modifying"
        assert sandbox.passwords(unique) == [PASSWORD]
        assert code(elasticache.modify_user, UserId=unique, Passwords=[PASSWORD]) == "InvalidUserState"
        assert code(elasticache.delete_user, UserId=unique) == "InvalidUserState"
    finally:
        sandbox.set_modify_delay(0.02)


def test_a_modified_user_becomes_active_with_its_new_passwords(sandbox, elasticache, unique):
    create(elasticache, unique)
    elasticache.modify_user(UserId=unique, Passwords=[PASSWORD + "2", PASSWORD + "3"])
    sandbox.settle()
    assert status(elasticache, unique) == "active"
    assert sandbox.passwords(unique) == [PASSWORD + "2", PASSWORD + "3"]


def test_what_a_modification_does_not_mention_stays(sandbox, elasticache, unique):
    create(elasticache, unique)
    elasticache.modify_user(UserId=unique, AppendAccessString="-@dangerous")
    sandbox.settle()
    user = elasticache.describe_users(UserId=unique)["Users"][0]
    assert user["AccessString"] == "on ~* +@all -@dangerous"
    assert sandbox.passwords(unique) == [PASSWORD]


def test_a_deleted_user_leaves_its_groups(sandbox, elasticache, unique):
    create(elasticache, unique)
    elasticache.create_user_group(UserGroupId=f"{unique}-g", Engine="valkey", UserIds=[unique])
    assert elasticache.delete_user(UserId=unique)["Status"] == "deleting"
    sandbox.settle()
    assert code(elasticache.describe_users, UserId=unique) == "UserNotFound"
    assert elasticache.describe_user_groups(UserGroupId=f"{unique}-g")["UserGroups"][0]["UserIds"] == []


def test_users_come_in_pages_and_by_filter(elasticache, unique):
    ids = [f"{unique}-{letter}" for letter in "abcde"]
    for user_id in ids:
        create(elasticache, user_id)
    pages = list(elasticache.get_paginator("describe_users").paginate(PaginationConfig={"PageSize": 2}))
    shown = [user["UserId"] for page in pages for user in page["Users"]]
    assert all(len(page["Users"]) <= 2 for page in pages)
    assert len(set(shown)) == len(shown)
    assert set(ids) <= set(shown)
    found = elasticache.describe_users(Filters=[{"Name": "user-id", "Values": ids[:2]}])["Users"]
    assert [user["UserId"] for user in found] == ids[:2]
    assert code(elasticache.describe_users, MaxRecords=101) == "InvalidParameterValue"


class TestUserGroups:
    def test_a_redis_group_needs_a_default_user_and_a_valkey_group_does_not(self, elasticache, unique):
        create(elasticache, unique)
        group = {"UserGroupId": unique, "UserIds": [unique]}
        assert code(elasticache.create_user_group, Engine="redis", **group) == "DefaultUserRequired"
        assert elasticache.create_user_group(Engine="valkey", **group)["UserIds"] == [unique]
        assert elasticache.describe_users(UserId=unique)["Users"][0]["UserGroupIds"] == [unique]

    def test_names_are_unique_within_a_group(self, elasticache, unique):
        create(elasticache, f"{unique}-a", UserName="same")
        create(elasticache, f"{unique}-b", UserName="same")
        group = {"UserGroupId": unique, "Engine": "valkey", "UserIds": [f"{unique}-a", f"{unique}-b"]}
        assert code(elasticache.create_user_group, **group) == "DuplicateUserName"

    def test_changes_are_pending_until_they_are_through(self, sandbox, elasticache, unique):
        for suffix in "ab":
            create(elasticache, f"{unique}-{suffix}")
        elasticache.create_user_group(UserGroupId=unique, Engine="valkey", UserIds=[f"{unique}-a"])
        change = {"UserIdsToAdd": [f"{unique}-b"], "UserIdsToRemove": [f"{unique}-a"]}
        changing = elasticache.modify_user_group(UserGroupId=unique, **change)
        assert (changing["Status"], changing["PendingChanges"]) == ("modifying", change)
        assert changing["UserIds"] == [f"{unique}-a"]
        sandbox.settle()
        group = elasticache.describe_user_groups(UserGroupId=unique)["UserGroups"][0]
        assert (group["Status"], group["UserIds"], group.get("PendingChanges")) == (
            "active",
            [f"{unique}-b"],
            None,
        )

    def test_unknown_groups_and_members(self, elasticache):
        assert code(elasticache.describe_user_groups, UserGroupId="nowhere") == "UserGroupNotFound"
        group = {"UserGroupId": "new", "Engine": "valkey", "UserIds": ["nobody"]}
        assert code(elasticache.create_user_group, **group) == "UserNotFound"

    def test_a_deleted_group_is_gone(self, sandbox, elasticache, unique):
        create(elasticache, unique)
        elasticache.create_user_group(UserGroupId=unique, Engine="valkey", UserIds=[unique])
        elasticache.delete_user_group(UserGroupId=unique)
        sandbox.settle()
        assert code(elasticache.describe_user_groups, UserGroupId=unique) == "UserGroupNotFound"

    def test_groups_come_in_pages(self, elasticache, unique):
        ids = {f"{unique}-{letter}" for letter in "abc"}
        for group_id in ids:
            elasticache.create_user_group(UserGroupId=group_id, Engine="valkey")
        pages = list(
            elasticache.get_paginator("describe_user_groups").paginate(PaginationConfig={"PageSize": 2})
        )
        assert all(len(page["UserGroups"]) <= 2 for page in pages)
        assert ids <= {group["UserGroupId"] for page in pages for group in page["UserGroups"]}


class TestTags:
    def test_tags_are_added_listed_and_removed(self, sandbox, elasticache, unique):
        arn = create(elasticache, unique, Tags=[{"Key": "a", "Value": "1"}])["ARN"]
        sandbox.tag(unique)
        tags = elasticache.list_tags_for_resource(ResourceName=arn)["TagList"]
        assert tags == [{"Key": "a", "Value": "1"}, {"Key": "teleport.dev/managed", "Value": "true"}]
        elasticache.remove_tags_from_resource(ResourceName=arn, TagKeys=["a"])
        sandbox.untag(unique)
        assert elasticache.list_tags_for_resource(ResourceName=arn)["TagList"] == []

    def test_what_is_not_there_has_no_tags(self, sandbox, elasticache):
        assert (
            code(elasticache.list_tags_for_resource, ResourceName=sandbox.user_arn("nobody"))
            == "UserNotFound"
        )
        assert code(elasticache.list_tags_for_resource, ResourceName="arn:nonsense") == "InvalidARN"

    def test_the_tagging_api_finds_by_aws_types_and_keys(self, sandbox, elasticache, secretsmanager, unique):
        tagging = sandbox.boto3("resourcegroupstaggingapi")
        tag = {"Key": f"{unique}/key", "Value": "v"}
        users = [create(elasticache, f"{unique}-{letter}", Tags=[tag])["ARN"] for letter in "abc"]
        create(elasticache, f"{unique}-untagged")
        secret = secretsmanager.create_secret(Name=unique, Tags=[tag])["ARN"]

        def found(*types, **tag_filter):
            pages = tagging.get_paginator("get_resources").paginate(
                ResourceTypeFilters=types, TagFilters=[{"Key": tag["Key"], **tag_filter}], ResourcesPerPage=2
            )
            return [resource["ResourceARN"] for page in pages for resource in page["ResourceTagMappingList"]]

        assert found("elasticache:user") == users
        assert found("elasticache:user", Values=["v", "w"]) == users
        assert found("elasticache:user", Values=["other"]) == []
        assert found("secretsmanager:secret") == [secret]
        assert found("elasticache:user", "secretsmanager:secret") == [*users, secret]
        assert found("elasticache:replicationgroup") == []

    def test_a_page_holds_although_the_account_changes(self, sandbox, elasticache, unique):
        tagging = sandbox.boto3("resourcegroupstaggingapi")
        query = {"TagFilters": [{"Key": unique}], "ResourcesPerPage": 2}
        for letter in "bcd":
            create(elasticache, f"{unique}-{letter}", Tags=[{"Key": unique, "Value": ""}])
        first = tagging.get_resources(**query)
        create(elasticache, f"{unique}-a", Tags=[{"Key": unique, "Value": ""}])
        second = tagging.get_resources(**query, PaginationToken=first["PaginationToken"])
        assert [resource["ResourceARN"][-1] for resource in second["ResourceTagMappingList"]] == ["d"]
        assert second["PaginationToken"] == ""

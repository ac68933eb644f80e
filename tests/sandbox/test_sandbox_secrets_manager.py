"""Secrets Manager over HTTP: what boto3 sees."""

import uuid

import pytest
from botocore.exceptions import ClientError


def token():
    return str(uuid.uuid4())


def code(caught):
    return caught.value.response["Error"]["Code"]


@pytest.fixture
def secret(secretsmanager, unique):
    """A secret without versions."""
    secretsmanager.create_secret(Name=unique)
    return unique


@pytest.fixture
def rotated(secretsmanager, secret):
    """Name, old version, new version: the new one was staged and promoted."""
    old = secretsmanager.put_secret_value(SecretId=secret, SecretString="old")["VersionId"]
    new = token()
    secretsmanager.put_secret_value(
        SecretId=secret, SecretString="new", ClientRequestToken=new, VersionStages=["AWSPENDING"]
    )
    secretsmanager.update_secret_version_stage(
        SecretId=secret, VersionStage="AWSCURRENT", RemoveFromVersionId=old, MoveToVersionId=new
    )
    return secret, old, new


def test_a_secret_made_without_value_has_no_version(secretsmanager, secret):
    assert "VersionIdsToStages" not in secretsmanager.describe_secret(SecretId=secret)
    with pytest.raises(
        secretsmanager.exceptions.ResourceNotFoundException, match="staging label: AWSCURRENT"
    ):
        secretsmanager.get_secret_value(SecretId=secret)


def test_an_unknown_secret(secretsmanager):
    with pytest.raises(secretsmanager.exceptions.ResourceNotFoundException) as caught:
        secretsmanager.get_secret_value(SecretId="nowhere")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "can't find the specified secret." in str(caught.value)


def test_after_a_promotion_the_default_read_is_the_new_value(secretsmanager, rotated):
    secret, old, new = rotated
    assert secretsmanager.get_secret_value(SecretId=secret)["SecretString"] == "new"
    assert secretsmanager.get_secret_value(SecretId=secret, VersionStage="AWSPREVIOUS")["VersionId"] == old
    assert secretsmanager.describe_secret(SecretId=secret)["VersionIdsToStages"] == {
        old: ["AWSPREVIOUS"],
        new: ["AWSCURRENT", "AWSPENDING"],
    }


def test_the_same_token_with_another_value_is_refused_while_pending(secretsmanager, secret):
    secretsmanager.put_secret_value(SecretId=secret, SecretString="current")
    staged = {"SecretId": secret, "ClientRequestToken": token(), "VersionStages": ["AWSPENDING"]}
    first = secretsmanager.put_secret_value(SecretString="one", **staged)
    again = secretsmanager.put_secret_value(SecretString="one", **staged)
    assert again["VersionId"] == first["VersionId"] == staged["ClientRequestToken"]
    with pytest.raises(secretsmanager.exceptions.ResourceExistsException):
        secretsmanager.put_secret_value(SecretString="other", **staged)
    assert (
        secretsmanager.get_secret_value(SecretId=secret, VersionStage="AWSPENDING")["SecretString"] == "one"
    )


def test_a_promotion_compares_before_it_sets(secretsmanager, rotated):
    secret, old, new = rotated
    move = {"SecretId": secret, "VersionStage": "AWSCURRENT", "MoveToVersionId": old}
    with pytest.raises(secretsmanager.exceptions.InvalidParameterException, match=new):
        secretsmanager.update_secret_version_stage(**move)
    with pytest.raises(secretsmanager.exceptions.InvalidParameterException):
        secretsmanager.update_secret_version_stage(**move, RemoveFromVersionId=old)
    assert secretsmanager.get_secret_value(SecretId=secret)["VersionId"] == new


def test_a_version_keeps_its_date(secretsmanager, rotated):
    secret, old, _ = rotated
    first = secretsmanager.get_secret_value(SecretId=secret, VersionId=old)["CreatedDate"]
    secretsmanager.update_secret(SecretId=secret, Description="edited")
    assert secretsmanager.get_secret_value(SecretId=secret, VersionId=old)["CreatedDate"] == first


def test_a_token_has_32_to_64_characters(secretsmanager, secret):
    # botocore checks the same on its side, so the server is asked without that.
    with pytest.raises(Exception, match="ClientRequestToken"):
        secretsmanager.put_secret_value(SecretId=secret, SecretString="x", ClientRequestToken="short")


def test_binary_values(secretsmanager, unique):
    secretsmanager.create_secret(Name=unique, SecretBinary=b"\x00\xff")
    assert secretsmanager.get_secret_value(SecretId=unique)["SecretBinary"] == b"\x00\xff"


def test_a_name_is_taken_once(secretsmanager, secret):
    with pytest.raises(secretsmanager.exceptions.ResourceExistsException):
        secretsmanager.create_secret(Name=secret)


def test_a_deleted_secret_is_unreadable_until_restored(secretsmanager, rotated):
    secret = rotated[0]
    secretsmanager.delete_secret(SecretId=secret, RecoveryWindowInDays=7)
    for call in (
        lambda: secretsmanager.get_secret_value(SecretId=secret),
        lambda: secretsmanager.put_secret_value(SecretId=secret, SecretString="x"),
        lambda: secretsmanager.create_secret(Name=secret),
    ):
        with pytest.raises(secretsmanager.exceptions.InvalidRequestException, match="deletion"):
            call()
    assert "DeletedDate" in secretsmanager.describe_secret(SecretId=secret)
    secretsmanager.restore_secret(SecretId=secret)
    assert secretsmanager.get_secret_value(SecretId=secret)["SecretString"] == "new"


def test_listing_by_prefix_in_pages_shows_labels(secretsmanager, unique):
    names = [f"{unique}/{letter}" for letter in "abcde"]
    for name in names:
        secretsmanager.create_secret(Name=name, SecretString="x", Tags=[{"Key": "k", "Value": name}])
    secretsmanager.create_secret(Name=f"other-{unique}")
    pages = list(
        secretsmanager.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "name", "Values": [f"{unique}/"]}], PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["SecretList"]) for page in pages] == [2, 2, 1]
    found = [secret for page in pages for secret in page["SecretList"]]
    assert [secret["Name"] for secret in found] == names
    assert all(list(secret["SecretVersionsToStages"].values()) == [["AWSCURRENT"]] for secret in found)


def test_a_batch_holds_twenty_and_says_what_is_missing(secretsmanager, rotated):
    answer = secretsmanager.batch_get_secret_value(SecretIdList=[rotated[0], "nowhere"])
    assert [value["SecretString"] for value in answer["SecretValues"]] == ["new"]
    assert [error["ErrorCode"] for error in answer["Errors"]] == ["ResourceNotFoundException"]
    with pytest.raises(Exception, match=r"20|SecretIdList"):
        secretsmanager.batch_get_secret_value(SecretIdList=[f"n{number}" for number in range(21)])


def test_key_description_and_tags(secretsmanager, unique):
    secretsmanager.create_secret(Name=unique, KmsKeyId="alias/one", Tags=[{"Key": "a", "Value": "1"}])
    secretsmanager.update_secret(SecretId=unique, KmsKeyId="1234abcd", Description="said")
    secretsmanager.tag_resource(SecretId=unique, Tags=[{"Key": "b", "Value": "2"}])
    secretsmanager.untag_resource(SecretId=unique, TagKeys=["a"])
    described = secretsmanager.describe_secret(SecretId=unique)
    assert (described["KmsKeyId"], described["Description"]) == ("1234abcd", "said")
    assert described["Tags"] == [{"Key": "b", "Value": "2"}]


def test_an_alias_is_told_by_its_arn_and_awss_own_key_not_at_all(sandbox, secretsmanager, secret):
    secretsmanager.update_secret(SecretId=secret, KmsKeyId="alias/mine")
    assert secretsmanager.describe_secret(SecretId=secret)["KmsKeyId"] == (
        f"arn:aws:kms:{sandbox.region}:{sandbox.account}:alias/mine"
    )
    for own in ("alias/aws/secretsmanager", ""):
        secretsmanager.update_secret(SecretId=secret, KmsKeyId="1234abcd")
        secretsmanager.update_secret(SecretId=secret, KmsKeyId=own)
        assert "KmsKeyId" not in secretsmanager.describe_secret(SecretId=secret)


def test_another_key_description_or_tag_makes_no_version(secretsmanager, rotated):
    secret = rotated[0]
    before = secretsmanager.list_secret_version_ids(SecretId=secret, IncludeDeprecated=True)["Versions"]
    secretsmanager.update_secret(SecretId=secret, KmsKeyId="1234abcd", Description="said")
    secretsmanager.tag_resource(SecretId=secret, Tags=[{"Key": "a", "Value": "1"}])
    after = secretsmanager.list_secret_version_ids(SecretId=secret, IncludeDeprecated=True)["Versions"]
    assert after == before
    assert secretsmanager.get_secret_value(SecretId=secret)["SecretString"] == "new"


def test_the_version_limit_counts_the_last_24_hours(sandbox, secretsmanager, secret):
    secretsmanager.put_secret_value(SecretId=secret, SecretString="x")
    for _ in range(99):
        secretsmanager.put_secret_value(SecretId=secret, SecretString="x")
    with pytest.raises(ClientError) as caught:
        secretsmanager.put_secret_value(SecretId=secret, SecretString="x")
    assert code(caught) == "LimitExceededException"
    sandbox.age_secret(secret, 24 * 3600)
    secretsmanager.put_secret_value(SecretId=secret, SecretString="x")


def test_a_secret_is_found_by_its_arn(secretsmanager, rotated):
    arn = secretsmanager.describe_secret(SecretId=rotated[0])["ARN"]
    assert secretsmanager.get_secret_value(SecretId=arn)["Name"] == rotated[0]


def test_every_answer_tells_the_time(secretsmanager, secret):
    answer = secretsmanager.describe_secret(SecretId=secret)["ResponseMetadata"]
    assert answer["HTTPHeaders"]["date"].endswith("GMT")

"""Denials name what a policy has to allow: the action, the resource, and whose policy."""

import botocore.exceptions
import pytest

from discovery.errors import AccessDeniedError, NotFoundError, RetryableError
from discovery.model import Place, Role
from discovery.resources import resource_of
from discovery.translation import translate

PLACE = Place("123456789012", "eu-west-1")
USER = "arn:aws:elasticache:eu-west-1:123456789012:user:app"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:valkeeper/app-a1B2c3"
CALLER = "User: arn:aws:sts::123456789012:assumed-role/rotator/i-1 is not authorized to perform: elasticache:ModifyUser"


@pytest.mark.parametrize(
    ("service", "parameters", "place", "resource"),
    [
        ("elasticache", {"UserId": "app", "Passwords": ["canary"]}, PLACE, USER),
        ("memorydb", {"UserName": "app"}, PLACE, "arn:aws:memorydb:eu-west-1:123456789012:user/app"),
        ("secretsmanager", {"SecretId": SECRET, "SecretString": "canary"}, PLACE, SECRET),
        (
            "secretsmanager",
            {"SecretId": "valkeeper/app"},
            Place("1", "cn-north-1"),
            "arn:aws-cn:secretsmanager:cn-north-1:1:secret:valkeeper/app-??????",
        ),
        (
            "secretsmanager",
            {"Name": "valkeeper/app", "Tags": []},
            Place("1", "us-gov-west-1"),
            "arn:aws-us-gov:secretsmanager:us-gov-west-1:1:secret:valkeeper/app-??????",
        ),
        ("elasticache", {"ResourceName": USER}, PLACE, USER),
        ("memorydb", {"ResourceArn": "arn:aws:memorydb:::acl/a"}, PLACE, "arn:aws:memorydb:::acl/a"),
        ("secretsmanager", {"Filters": []}, PLACE, "*"),
        ("elasticache", {}, PLACE, "*"),
    ],
)
def test_the_resource_that_a_call_is_about(service, parameters, place, resource):
    assert resource_of(service, parameters, place) == resource


def denial(message, role=None, code="AccessDenied", status=403):
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    error = botocore.exceptions.ClientError(answer, "ModifyUser")
    return translate(error, action="elasticache:ModifyUser", place=PLACE, role=role, resource=USER)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("", f"elasticache:ModifyUser on {USER} in {PLACE}: add it to Valkeeper's policy"),
        (f"{CALLER} on resource: app because no identity-based policy allows it", f"on {USER} in"),
        (
            f"{CALLER} on resource: arn:aws:elasticache:::usergroup:all because of",
            "on arn:aws:elasticache:::usergroup:all in",
        ),
        ("Access to KMS is not allowed", "kms:Decrypt and kms:GenerateDataKey on the secret's KMS key"),
        (
            f"{CALLER} on resource: {USER} with an explicit deny in a service control policy",
            "an explicit deny in a service control policy forbids it",
        ),
        (
            f"{CALLER} on resource: {USER} because no permissions boundary allows the elasticache:ModifyUser action",
            "add it to the permissions boundary of Valkeeper's identity",
        ),
    ],
)
def test_a_denial_names_action_resource_and_what_to_do(message, said):
    """AWS's own words about the resource come first, where they are an ARN."""
    error = denial(message)
    assert isinstance(error, AccessDeniedError)
    assert said in str(error)


def test_a_denial_to_a_role_names_its_policy():
    role = Role("arn:aws:iam::123456789012:role/rotator")
    assert str(denial("", role)).endswith(f"on {USER} in {PLACE}: add it to the policy of {role.arn}")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [("UserNotFound", 404, NotFoundError), ("InternalFailure", 500, RetryableError)],
)
def test_other_failures_keep_the_words_of_aws(code, status, kind):
    error = denial("as it said", code=code, status=status)
    assert (type(error), error.code) == (kind, code)
    assert "as it said" in str(error)

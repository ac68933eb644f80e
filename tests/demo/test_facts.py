"""What the demo says of itself beside how it went."""

from deploy.demo.facts import calls_per_rotation, facts
from tests.demo.records import APP, STARTED_AT, WEB, rotation, state


def request(operation, seconds, service="secretsmanager", code=None):
    return {"service": service, "operation": operation, "time": STARTED_AT + seconds, "code": code}


def test_calls_are_those_of_rotations_by_their_number():
    known = state(
        rotation("adopted", 6),
        rotation("rotated", 21),
        rotation("rotated", 36),
        rotation("rotated", 40, user=WEB),
        rotation("rotated", 60, user=WEB),
    )
    requests = [
        request("ModifyUser", 5.5, "elasticache"),  # of the adoption
        request("DescribeSecret", 20.5),
        request("ModifyUser", 20.6, "elasticache"),
        request("DescribeUsers", 20.6, "memorydb"),  # discovery's: none of this service rotated then
        request("GetResources", 20.7, "resourcegroupstaggingapi"),
        request("DescribeSecret", 30.0),  # a look between rotations
        request("DescribeSecret", 35.5),
        request("DescribeSecret", 35.6),
        request("ModifyUser", 35.9, "elasticache"),
        request("DescribeSecret", 39.5),
        request("DescribeClusters", 39.6, "memorydb"),
        request("DescribeUsers", 39.6, "memorydb"),
        request("UpdateUser", 39.6, "memorydb"),
        request("UpdateUser", 59.6, "memorydb"),
    ]
    assert calls_per_rotation(known, requests) == {
        "elasticache": {"DescribeSecret": 1.0, "ModifyUser": 1.0},
        "memorydb": {"DescribeSecret": 1.0, "UpdateUser": 1.0, "DescribeUsers": 0.5},
    }


def test_without_a_rotation_there_are_no_calls_per_rotation():
    assert calls_per_rotation(state(rotation("adopted", 6)), [request("ModifyUser", 5.5)]) == {}


def test_facts_name_the_first_password_the_first_rotation_and_the_calls_of_each_service():
    known = state(
        rotation("adopted", 6.04),
        rotation("adopted", 6.5, user=WEB),
        rotation("rotated", 21),
        rotation("rotated", 22, user=WEB),
    )
    requests = [
        request("PutSecretValue", 5, code="ThrottlingException"),
        request("ModifyUser", 20.5, "elasticache"),
        request("UpdateUser", 21.5, "memorydb"),
    ]
    told = facts(known, requests)
    assert dict(told)["first new password"].startswith("6.0 s")
    assert dict(told)["first rotation"].startswith("21.0 s")
    assert [value for name, value in told if name == "AWS calls per rotation"] == [
        "ElastiCache 1.0: 1.0 ModifyUser",
        "MemoryDB 1.0: 1.0 UpdateUser",
    ]
    assert dict(told)["AWS calls in all"] == "3, 1 answered with ThrottlingException"
    assert APP in known.stories

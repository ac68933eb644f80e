import pytest

from discovery.tags import EVERYTHING, opts_in, parse_selector, selects


@pytest.mark.parametrize("value", ["true", "yes", "", "on", "anything", "0", "Falsely"])
def test_any_value_of_the_tag_opts_in(value):
    assert opts_in({"teleport.dev/managed": value})


@pytest.mark.parametrize(
    "value", ["false", "no", "disable", "disabled", "False", "NO", "DisAbled", " false "]
)
def test_four_words_in_any_case_do_not(value):
    assert not opts_in({"teleport.dev/managed": value})


def test_without_the_tag_a_user_is_not_managed():
    assert not opts_in({})
    assert not opts_in({"Teleport.dev/Managed": "true"})  # AWS's tag keys tell cases apart


def test_the_tag_can_have_another_name():
    assert opts_in({"acme/rotate": "true"}, "acme/rotate")
    assert not opts_in({"teleport.dev/managed": "true"}, "acme/rotate")


@pytest.mark.parametrize(
    ("selector", "labels", "chosen"),
    [
        ({"*": "*"}, {}, True),
        ({"*": "*", "env": "prod"}, {"env": "test"}, True),
        ({"env": "prod"}, {"env": "prod", "team": "a"}, True),
        ({"env": "prod"}, {"env": "test"}, False),
        ({"env": "prod"}, {}, False),
        ({"env": ["prod", "test"]}, {"env": "test"}, True),
        ({"env": ["prod", "test"]}, {"env": "dev"}, False),
        ({"env": "prod", "team": "a"}, {"env": "prod"}, False),
        ({"env": "*"}, {"env": ""}, True),
        ({"env": "*"}, {}, False),
        ({"env": "prod-*"}, {"env": "prod-eu"}, True),
        ({"env": "prod-*"}, {"env": "a-prod-eu"}, False),
        ({"env": "a.c"}, {"env": "abc"}, False),
        ({"env": "^(prod|test)-\\d$"}, {"env": "test-1"}, True),
        ({"env": "^(prod|test)-\\d$"}, {"env": "test-12"}, False),
    ],
)
def test_selectors_choose_by_every_key_and_one_of_its_values(selector, labels, chosen):
    assert selects(parse_selector(selector), labels) is chosen


def test_the_default_selector_chooses_everything():
    assert selects(EVERYTHING, {})
    assert not selects({}, {"env": "prod"})


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ({}, "selects nothing"),
        ("env=prod", "expected keys"),
        ({"env": 1}, "quotes"),
        ({"env": True}, "quotes"),
        ({"env": []}, "list of texts"),
        ({"env": ["a", 1]}, "quotes"),
        ({"*": "prod"}, "every database"),
        ({"env": "^($"}, "regular expression"),
    ],
)
def test_a_selector_that_cannot_be_meant_is_refused(selector, said):
    with pytest.raises(ValueError, match=said):
        parse_selector(selector)

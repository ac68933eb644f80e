"""The queue of users by the time of their next look, against a model that sorts."""

from hypothesis import given
from hypothesis import strategies as st

from rotator.due import DueQueue
from tests.rotator.records import user_key

KEYS = [user_key(name) for name in "abcd"]
keys = st.sampled_from(KEYS)
times = st.integers(0, 5).map(float)
orders = st.lists(
    st.one_of(
        st.tuples(st.just("put"), keys, times),
        st.tuples(st.just("remove"), keys),
        st.tuples(st.just("pop"), times),
    ),
    max_size=30,
)


@given(orders)
def test_like_a_model_that_sorts(orders):
    queue, model = DueQueue(), {}
    for name, *values in orders:
        match name:
            case "put":
                queue.put(*values)
                model[values[0]] = values[1]
            case "remove":
                queue.remove(*values)
                model.pop(values[0], None)
            case "pop":
                due = queue.pop_due(values[0])
                expected = {key: at for key, at in model.items() if at <= values[0]}
                assert len(due) == len(expected)
                assert set(due) == set(expected)
                assert [expected[key] for key in due] == sorted(expected.values())
                model = {key: at for key, at in model.items() if key not in expected}
        assert len(queue) == len(model)
        assert queue.next_at() == min(model.values(), default=None)
        assert {key: queue.when(key) for key in KEYS} == {key: model.get(key) for key in KEYS}

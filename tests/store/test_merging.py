"""The three-way merge of two changes to one document."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.store.merging import merge, same

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=1),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("xyz"), JSON, max_size=3)


@pytest.mark.parametrize(
    ("before", "mine", "theirs", "merged"),
    [
        ({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": 3}, {"a": 2}, {"a": 3}),
        ({"a": 1}, {}, {"a": 1, "b": 2}, {"b": 2}),
        ({"a": 1}, {}, {"a": 2}, {}),
        ({"a": 1}, {}, {}, {}),
        ({"a": 1}, {"a": 1, "b": 1}, {}, {"b": 1}),
        ({"a": 1}, {"a": 2}, {}, {"a": 2}),
        ({"cart": {"x": 1}}, {"cart": {"x": 1, "y": 1}}, {"cart": {"x": 2}}, {"cart": {"x": 2, "y": 1}}),
        ({}, {"cart": {"x": 1}}, {"cart": {"y": 1}}, {"cart": {"x": 1, "y": 1}}),
        ({"cart": {"x": 1}}, {"cart": {}}, {"cart": {"x": 1, "y": 1}}, {"cart": {"y": 1}}),
        ({"cart": {"x": 1}}, {"cart": None}, {"cart": {"y": 1}}, {"cart": None}),
        ({"cart": 1}, {"cart": {"x": 1}}, {"cart": {"y": 1}}, {"cart": {"x": 1}}),
        ({"list": [1]}, {"list": [1, 2]}, {"list": [1, 3]}, {"list": [1, 2]}),
        ({"a": 1}, {"a": True}, {"a": 1}, {"a": True}),
        ({"a": [1]}, {"a": [1.0]}, {"a": [1]}, {"a": [1.0]}),
    ],
)
def test_both_changes_are_kept(
    before: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert same(merge(before, mine, theirs), merged)


@given(OBJECTS, OBJECTS)
def test_where_one_side_changed_nothing_the_other_is_the_result(
    before: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert same(merge(before, before, changed), changed)
    assert same(merge(before, changed, before), changed)


@given(OBJECTS, OBJECTS, OBJECTS)
def test_nothing_that_was_given_is_changed(
    before: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    told = repr((before, mine, theirs))
    merge(before, mine, theirs)
    assert repr((before, mine, theirs)) == told

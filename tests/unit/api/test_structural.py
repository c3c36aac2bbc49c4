"""Structural schemas: defaulting, pruning, validation, list promises, formats, patterns."""

import pytest

from sampan.api.structural import Structural, apply_defaults, check_lists, drop_nulls, prune, resource_type, validate
from sampan.api.structural.formats import check_format
from sampan.api.structural.patterns import PatternError, compile_pattern


def texts(schema, value, **more):
    return [str(error) for error in validate(Structural(schema), value, **more)]


def obj(**properties):
    return {"type": "object", "properties": properties}


def test_defaults_fill_absent_members_and_forbidden_nulls_but_make_no_parents():
    schema = Structural(
        obj(
            a=obj(n={"type": "integer", "default": 3}),
            b={**obj(m={"type": "string", "default": "x"}), "default": {}},
            c={"type": "string", "nullable": True, "default": "y"},
            d={"type": "string", "default": "z"},
        )
    )
    value = {"c": None, "d": None}
    apply_defaults(schema, value)
    assert value == {"b": {"m": "x"}, "c": None, "d": "z"}


def test_defaults_reach_items_and_undeclared_members():
    inner = obj(n={"type": "integer", "default": 1})
    schema = Structural(obj(l={"type": "array", "items": inner}, m={"type": "object", "additionalProperties": inner}))
    value = {"l": [{}], "m": {"k": {}}}
    apply_defaults(schema, value)
    assert value == {"l": [{"n": 1}], "m": {"k": {"n": 1}}}


def test_nulls_without_default_go_where_null_is_not_allowed():
    schema = Structural(obj(a={"type": "string"}, b={"type": "string", "nullable": True}))
    value = {"a": None, "b": None}
    drop_nulls(schema, value)
    assert value == {"b": None}


def test_pruning_keeps_metadata_preserved_parts_and_reports_paths():
    schema = Structural(
        obj(
            spec=obj(
                l={"type": "array", "items": obj(a={"type": "string"})},
                free={"type": "object", "x-kubernetes-preserve-unknown-fields": True, **obj(k=obj())},
            )
        )
    )
    value = {
        "kind": "X",
        "metadata": {"any": 1},
        "spec": {"l": [{"a": "1", "z": 1}], "free": {"u": 1, "k": {"q": 1}}},
        "top": 1,
    }
    unknown = []
    assert prune(schema, value, is_root=True, unknown=unknown)
    assert value == {"kind": "X", "metadata": {"any": 1}, "spec": {"l": [{"a": "1"}], "free": {"u": 1, "k": {}}}}
    assert sorted(unknown) == ["spec.free.k.q", "spec.l[0].z", "top"]


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        ({"type": "integer"}, "x", 'v: Invalid value: "string": v in body must be of type integer: "string"'),
        ({"type": "integer"}, True, 'v: Invalid value: "boolean": v in body must be of type integer: "boolean"'),
        ({"type": "string", "maxLength": 1}, "ab", "v: Too long: may not be more than 1 byte"),
        ({"type": "string", "enum": ["a", "b"]}, "c", 'v: Unsupported value: "c": supported values: "a", "b"'),
        (
            {"type": "integer", "maximum": 3, "exclusiveMaximum": True},
            3,
            "v: Invalid value: 3: v in body should be less than 3",
        ),
        (
            {"x-kubernetes-int-or-string": True},
            [],
            'v: Invalid value: "array": v in body must be of type integer,string: "array"',
        ),
        ({"type": "string"}, None, 'v: Invalid value: "null": v in body must be of type string: "null"'),
    ],
)
def test_messages_are_kubernetes_own(schema, value, wanted):
    assert texts(obj(v=schema), {"v": value}) == [wanted]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 2.0), ({"type": "number"}, 1), ({"type": "string", "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True}, "50%"), ({"type": "string", "format": "no-such"}, "x"),
    ],
)  # fmt: skip
def test_values_that_fit(schema, value):
    assert texts(obj(v=schema), {"v": value}) == []


def test_nearest_alternative_of_anyof_is_explained():
    schema = obj(
        a={**obj(x={"type": "integer"}, y={"type": "integer"}), "anyOf": [{"required": ["x"]}, {"required": ["y"]}]}
    )
    assert texts(schema, {"a": {}}) == [
        '<nil>: Invalid value: "": "a" must validate at least one schema (anyOf)', "a.x: Required value",
    ]  # fmt: skip


def test_unchanged_values_may_stay_although_the_schema_became_stricter():
    items = {**obj(k={"type": "string"}, v={"type": "integer", "maximum": 1}), "required": ["k"]}
    schema = obj(
        n={"type": "integer", "maximum": 1},
        l={"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
    )
    old = {"n": 9, "l": [{"k": "a", "v": 5}, {"k": "b", "v": 1}]}
    assert texts(schema, {"n": 9, "l": [{"k": "b", "v": 1}, {"k": "a", "v": 5}], "x": 1}, old=old) == []
    assert len(texts(schema, {"n": 8, "l": [{"k": "a", "v": 6}]}, old=old)) == 2


def test_duplicates_in_sets_and_maps_are_reported_once():
    schema = Structural(
        obj(
            s={"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            m={
                "type": "array",
                "items": obj(k={"type": "string"}),
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
            },
        )
    )
    found = check_lists(schema, {"s": ["a", "a", "a"], "m": [{"k": "1", "z": 1}, {"k": "1"}]})
    assert [str(one) for one in found] == ['s[1]: Duplicate value: "a"', 'm[1]: Duplicate value: {"k":"1"}']


def test_type_divides_as_the_schema_says():
    schema = Structural(
        obj(spec=obj(l={"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}))
    )
    spec = resource_type(schema, "example.com/v1.Widget").fields["spec"].type
    assert spec.fields["l"].list_type == "set"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2024-01-01T00:00:00Z", "yesterday"), ("date", "2024-02-29", "2023-02-29"),
        ("ipv4", "10.0.0.1", "::1"),
        ("ipv6", "::1", "10.0.0.1"), ("cidr", "10.0.0.0/8", "10.0.0.0"), ("duration", "1h30m", "x"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"), ("byte", "YWJj", "a"), ("email", "a@b.c", "a"),
        ("uri", "https://a/b", "a b"), ("mac", "00:11:22:33:44:55", "0"), ("rgbcolor", "rgb(1, 2, 255)", "rgb(1,2)"),
        ("creditcard", "4111111111111111", "4111111111111112"), ("isbn", "0306406152", "0306406153"),
    ],
)  # fmt: skip
def test_formats(name, good, bad):
    check = check_format(name)
    assert check(good)
    assert not check(bad)


def test_patterns_are_res_not_pythons():
    assert compile_pattern(r"^[[:alpha:]]+\z").search("abc")
    assert not compile_pattern("^a$").search("a\n")
    with pytest.raises(PatternError, match="missing closing \\): `\\(`"):
        compile_pattern("(")
    with pytest.raises(PatternError, match="invalid or unsupported Perl syntax"):
        compile_pattern("(?=a)")

"""CEL: language, libraries, types, costs, messages."""

import pytest

from sampan.api.cel import (
    BOOL,
    DYN,
    INT,
    STRING,
    CelError,
    CompileError,
    CostExceededError,
    Environment,
    compile,  # noqa: A004
    list_of,
    map_of,
    object_type,
)
from sampan.api.cel.values import NONE, Optional

ENVIRONMENT = Environment(
    variables={
        "self": map_of(STRING, DYN), "n": INT, "l": list_of(STRING.sized(10), 5), "b": BOOL, "any": DYN,
        "o": object_type("object", lambda: {"a": INT, "__namespace__": STRING}),
    }
)  # fmt: skip
VALUES = {
    "self": {"a": 1, "s": "abc", "t": "2024-03-01T10:00:00Z", "nil": None}, "n": 5, "l": ["a", "b"], "b": True,
    "any": "1", "o": {"a": 2, "namespace": "x"},
}  # fmt: skip


def run(text, **more):
    return compile(text, ENVIRONMENT).evaluate({**VALUES, **more})[0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3", 7), ("-7 / 2", -3), ("-7 % 3", -1), ("1u + 2u", 3), ("2.5 * 2.0", 5.0), ("dyn(1) == 1.0", True),
        ("'a' + \"b\" + r'\\n'", "ab\\n"), ("b'ab' == b'ab'", True), ("'\\u00e9'", "é"), ("[1, 2][1]", 2),
        ("{'a': 1}.a", 1), ("n > 3 ? 'big' : 'small'", "big"), ("has(self.a) && !has(self.z)", True),
        ("self.z == 1 || true", True), ("false && self.z", False), ("l.all(x, x < 'c')", True),
        ("l.exists_one(x, x == 'a')", True), ("l.map(x, x == 'a', x + '!')", ["a!"]), ("l.filter(x, x != 'a')", ["b"]),
        ("{'x': 1, 'y': 2}.exists(k, k == 'y')", True), ("[3, 1].transformList(i, v, i + v)", [3, 2]),
        ("{'x': 1}.transformMap(k, v, v + 1)", {"x": 2}), ("l.all(i, v, i < 2)", True), ("'a' in l", True),
        ("self.?z.orValue(4)", 4), ("l[?7].hasValue()", False), ("optional.of(3).optMap(v, v + 1).value()", 4),
        ("type(n) == int", True), ("string(1.5)", "1.5"), ("int('12')", 12), ("size('é')", 1), ("o.__namespace__", "x"),
        ("timestamp(self.t).getMonth()", 2), ("timestamp(self.t).getHours('+02:00')", 12),
        ("timestamp('2024-01-01T00:00:00Z') + duration('36h') > timestamp('2024-01-02T00:00:00Z')", True),
        ("duration('1h30m').getMinutes()", 90), ("string(duration('90s'))", "90s"), ("'abc'.matches('^a.c$')", True),
    ],
)  # fmt: skip
def test_language(text, wanted):
    assert run(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "quantity('1Gi').isGreaterThan(quantity('1000M'))",
        "quantity('1500m').add(1).compareTo(quantity('2.5')) == 0",
        "!isQuantity('x')",
        "ip('::1').isLoopback() && ip('10.0.0.1').family() == 4",
        "!isIP('10.0.0')",
        "cidr('10.0.0.0/8').containsIP('10.2.3.4')",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
        "url('https://a.b:80/p?x=1&x=2').getQuery()['x'] == ['1', '2']",
        "url('https://[::1]:80/').getHostname() == '::1'",
        "semver('1.2.3').isLessThan(semver('1.10.0-rc.1'))",
        "semver('1.0.0-alpha').isLessThan(semver('1.0.0'))",
        "isSemver('v1.2', true)",
        "'a1b22'.findAll('[0-9]+') == ['1', '22']",
        "[3, 1, 2].sum() == 6 && [1, 2].isSorted() && [1, 3].max() == 3",
        "['a', 'b', 'a'].lastIndexOf('a') == 2",
        "sets.contains([1, 2, 3], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1])",
        "math.greatest(1, 3, 2) == 3 && math.least([4, 2]) == 2 && math.abs(-3) == 3",
        "'a-b'.split('-').join('+') == 'a+b'",
        "'%s=%d (%.1f)'.format(['x', 3, 1.25]) == 'x=3 (1.2)'",
        "'Ab'.lowerAscii() == 'ab' && 'abc'.substring(1) == 'bc'",
        "!format.dns1123Label().validate('a-b').hasValue()",
        "format.named('uuid').value().validate('x').hasValue()",
    ],
)
def test_kubernetes_libraries(text):
    assert run(text) is True


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("self.z", "no such key: z"), ("l[9]", "index out of bounds: 9"), ("1 / (n - 5)", "division by zero"),
        ("9223372036854775807 + n", "integer overflow"), ("any + 1 > 0", "no such overload"),
        ("self.nil.x", "no such overload"), ("optional.none().value() == 1", "optional.none() dereference"),
    ],
)  # fmt: skip
def test_runs_that_fail(text, wanted):
    with pytest.raises(CelError, match=wanted.replace("(", r"\(").replace(")", r"\)")):
        run(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("zz", "<input>:1:1: undeclared reference to 'zz' (in container '')\n | zz\n | ^"),
        ("n + 'x'", "<input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | n + 'x'\n | ..^"),
        ("o.b > 1", "<input>:1:2: undefined field 'b'\n | o.b > 1\n | .^"),
        ("n.a", "<input>:1:2: type 'int' does not support field selection"),
        ("l.all(x, x)", "<input>:1:10: expected type 'bool' but found 'string'"),
        ("l.all(x", "Syntax error: mismatched input '<EOF>' expecting ')'"),
        ("l.all(x.y, true)", "argument must be a simple name"), ("has(n)", "invalid argument to has() macro"),
        ("1 #", "token recognition error at: '#'"), ("package", "reserved identifier: package"),
    ],
)  # fmt: skip
def test_expressions_that_do_not_compile(text, wanted):
    with pytest.raises(CompileError) as caught:
        compile(text, ENVIRONMENT)
    assert wanted in str(caught.value)


def test_types_are_inferred():
    assert str(compile("l.map(x, size(x))", ENVIRONMENT).type) == "list(int)"
    assert str(compile("{'a': l}", ENVIRONMENT).type) == "map(string, list(string))"
    assert str(compile("self.a", ENVIRONMENT).type) == "dyn"


def test_costs_are_bounded_when_compiled_and_when_run():
    program = compile("l.all(x, l.all(y, x.size() == y.size()))", ENVIRONMENT)
    value, cost = program.evaluate(VALUES)
    assert value is True
    assert cost <= program.estimated_cost() < 1000
    with pytest.raises(CostExceededError):
        program.evaluate({"l": ["a"] * 1000}, 1000)
    assert compile("self.all(k, self.all(j, k != j))", ENVIRONMENT).estimated_cost() > 10**9


def test_optional_variables():
    environment = Environment(variables={"old": DYN})
    program = compile("!old.hasValue() || old.value() == 1", environment)
    assert program.evaluate({"old": NONE})[0] is True
    assert program.evaluate({"old": Optional(2)})[0] is False

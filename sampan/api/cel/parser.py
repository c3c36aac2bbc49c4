"""The parser: CEL's grammar by recursive descent, macros expanded to nodes of their own."""

from __future__ import annotations

from typing import NoReturn

from sampan.api.cel.ast import Call, Ident, ListNode, Literal, Macro, MapNode, Node, Select
from sampan.api.cel.errors import CompileError
from sampan.api.cel.lexer import Token, tokens

_PRIMARY = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_RELATIONS = {"<": "_<_", "<=": "_<=_", ">": "_>_", ">=": "_>=_", "==": "_==_", "!=": "_!=_", "in": "@in"}
_SUMS = {"+": "_+_", "-": "_-_"}
_PRODUCTS = {"*": "_*_", "/": "_/_", "%": "_%_"}
_RESERVED = frozenset(
    {
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip
_MACROS = {
    "all": (2, 3), "exists": (2, 3), "exists_one": (2, 3), "existsOne": (2, 3), "map": (2, 3), "filter": (2,),
    "transformList": (3, 4), "transformMap": (3, 4), "optMap": (2,), "optFlatMap": (2,), "sortBy": (2,),
}  # fmt: skip
_MAX_DEPTH = 250


def parse(source: str) -> Node:
    """Parse an expression. Raises CompileError."""
    parser = _Parser(source)
    node = parser.expression()
    token = parser.token
    if token.kind != "end":
        parser.fail(f"Syntax error: mismatched input '{token.text}' expecting <EOF>")
    return node


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self._tokens = tokens(source)
        self._at = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    def fail(self, text: str, at: int | None = None) -> NoReturn:
        raise CompileError([(self.token.at if at is None else at, text)], self.source)

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, text: str) -> bool:
        token = self.token
        return token.text == text and token.kind in ("op", "ident")

    def _take(self, text: str) -> bool:
        if self._is(text):
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> Token:
        if not self._is(text):
            token = self.token
            found = "<EOF>" if token.kind == "end" else token.text
            if token.kind == "end" or text in "])}":
                self.fail(f"Syntax error: mismatched input '{found}' expecting '{text}'")
            self.fail(f"Syntax error: extraneous input '{found}' expecting '{text}'")
        return self._next()

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self.fail(f"expression recursion limit exceeded: {_MAX_DEPTH}")
        condition = self._or()
        if self._is("?"):
            at = self._next().at
            first = self._or()
            self._expect(":")
            condition = Call(at, "_?_:_", None, [condition, first, self.expression()])
        self._depth -= 1
        return condition

    def _or(self) -> Node:
        node = self._and()
        while self._is("||"):
            node = Call(self._next().at, "_||_", None, [node, self._and()])
        return node

    def _and(self) -> Node:
        node = self._relation()
        while self._is("&&"):
            node = Call(self._next().at, "_&&_", None, [node, self._relation()])
        return node

    def _relation(self) -> Node:
        node = self._sum()
        while self.token.kind in ("op", "ident") and self.token.text in _RELATIONS:
            token = self._next()
            node = Call(token.at, _RELATIONS[token.text], None, [node, self._sum()])
        return node

    def _sum(self) -> Node:
        node = self._product()
        while self.token.kind == "op" and self.token.text in _SUMS:
            token = self._next()
            node = Call(token.at, _SUMS[token.text], None, [node, self._product()])
        return node

    def _product(self) -> Node:
        node = self._unary()
        while self.token.kind == "op" and self.token.text in _PRODUCTS:
            token = self._next()
            node = Call(token.at, _PRODUCTS[token.text], None, [node, self._unary()])
        return node

    def _unary(self) -> Node:
        if self._is("!"):
            token = self._next()
            return Call(token.at, "!_", None, [self._unary()])
        if self._is("-"):
            token = self._next()
            if self.token.kind in ("int", "float") and self.token.at == token.at + 1:
                number = self._next()
                return self._member(Literal(token.at, -number.value))
            return Call(token.at, "-_", None, [self._unary()])
        return self._member(self._primary())

    def _member(self, node: Node) -> Node:
        while True:
            if self._is("."):
                node = self._selection(node)
            elif self._is("["):
                at = self._next().at
                optional = self._take("?")
                index = self.expression()
                self._expect("]")
                node = Call(at, "_[?_]" if optional else "_[_]", None, [node, index])
            else:
                return node

    def _selection(self, node: Node) -> Node:
        at = self._next().at
        optional = self._take("?")
        token = self.token
        if token.kind == "escaped":
            self._next()
            return Select(at, node, token.value, optional=optional)
        if token.kind != "ident" or token.text in ("true", "false", "null", "in"):
            found = "<EOF>" if token.kind == "end" else token.text
            self.fail(
                f"Syntax error: mismatched input '{found}' expecting IDENTIFIER"
                if token.kind == "end"
                else f"Syntax error: no viable alternative at input '.{found}'"
            )
        self._next()
        if self._is("(") and not optional:
            paren = self._next().at
            return self._method(paren, node, token, self._arguments())
        return Select(at, node, token.text, optional=optional)

    def _arguments(self) -> list[Node]:
        found: list[Node] = []
        if not self._is(")"):
            found.append(self.expression())
            while self._take(","):
                found.append(self.expression())
        self._expect(")")
        return found

    def _method(self, at: int, target: Node, name: Token, arguments: list[Node]) -> Node:
        counts = _MACROS.get(name.text)
        if counts is None or len(arguments) not in counts:
            return Call(at, name.text, target, arguments)
        kind = "exists_one" if name.text == "existsOne" else name.text
        two = kind.startswith("transform") or (len(arguments) == 3 and kind != "map")
        names = arguments[: 2 if two else 1]
        variables: list[str] = []
        for one in names:
            if not isinstance(one, Ident):
                self.fail("argument must be a simple name", one.at)
            variables.append(one.name)
        rest = arguments[len(names) :]
        condition = rest[0] if len(rest) == 2 else None
        return Macro(at, kind, target, variables, rest[-1], condition)

    def _primary(self) -> Node:
        token = self.token
        if token.kind in ("int", "uint", "float", "string", "bytes"):
            self._next()
            if token.kind == "int" and token.value == 1 << 63:
                self.fail("invalid int literal", token.at)
            return Literal(token.at, token.value)
        if token.kind == "ident" and token.text != "in":
            return self._identifier()
        if self._take("("):
            node = self.expression()
            self._expect(")")
            return node
        if self._is("["):
            return self._list()
        if self._is("{"):
            return self._map(self._next().at, "")
        if self._is("."):
            self._next()
            return self._primary()
        found = "<EOF>" if token.kind == "end" else token.text
        kind = "mismatched" if token.kind == "end" else "extraneous"
        self.fail(f"Syntax error: {kind} input '{found}' expecting {_PRIMARY}")
        return None

    def _identifier(self) -> Node:
        token = self._next()
        if token.text in ("true", "false", "null"):
            return Literal(token.at, {"true": True, "false": False, "null": None}[token.text])
        if token.text in _RESERVED:
            self.fail(f"reserved identifier: {token.text}", token.at)
        if self._is("("):
            at = self._next().at
            arguments = self._arguments()
            if token.text == "has" and len(arguments) == 1:
                one = arguments[0]
                if not isinstance(one, Select):
                    self.fail("invalid argument to has() macro", one.at)
                one.test = True
                return one
            return Call(at, token.text, None, arguments)
        node: Node = Ident(token.at, token.text)
        start, name = self._at, token.text
        while self._is(".") and self._tokens[self._at + 1].kind == "ident":
            self._next()
            name += f".{self._next().text}"
        if self._is("{") and name[:1].isalpha() and any(part[:1].isupper() for part in name.split(".")):
            return self._map(self._next().at, name)
        self._at = start
        return node

    def _list(self) -> Node:
        at = self._next().at
        items: list[Node] = []
        optional: set[int] = set()
        while not self._is("]"):
            if self._take("?"):
                optional.add(len(items))
            items.append(self.expression())
            if not self._take(","):
                break
        self._expect("]")
        return ListNode(at, items, frozenset(optional))

    def _map(self, at: int, name: str) -> Node:
        entries: list[tuple[object, Node, bool]] = []
        while not self._is("}"):
            optional = self._take("?")
            key: object
            if name:
                token = self._next()
                if token.kind not in ("ident", "escaped"):
                    self.fail("Syntax error: expecting a field name", token.at)
                key = token.value or token.text
            else:
                key = self.expression()
            self._expect(":")
            entries.append((key, self.expression(), optional))
            if not self._take(","):
                break
        self._expect("}")
        return MapNode(at, entries, name)

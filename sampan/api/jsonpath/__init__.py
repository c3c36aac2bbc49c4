"""JSONPath templates, as kubectl and printer columns use them: ``{range .items[*]}{.metadata.name}{end}``.

`parse` compiles a template once; `Template.find` and `Template.render` run it on objects. Behaviour: client-go, package
util/jsonpath, its quirks included.
"""

from sampan.api.jsonpath.nodes import JSONPathError
from sampan.api.jsonpath.parser import parse_nodes
from sampan.api.jsonpath.template import Template, parse

__all__ = ["JSONPathError", "Template", "parse", "parse_nodes"]

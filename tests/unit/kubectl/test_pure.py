"""Parts of commands that need no server."""

from __future__ import annotations

import pytest

from sampan.api.errors import Invalid, NotFound, Unauthorized
from sampan.kubectl.apply import LAST_APPLIED, with_annotation
from sampan.kubectl.builder import read_files
from sampan.kubectl.describe.volumes import write_source
from sampan.kubectl.describe.writer import Writer, rfc1123, selector_text
from sampan.kubectl.errors import KubectlError, render_status_error
from sampan.kubectl.explain import wrap
from sampan.kubectl.goorder import ordered
from sampan.kubectl.main import COMMANDS, find_command
from sampan.kubectl.sorting import sort_objects
from sampan.kubectl.threeway import json_merge


def test_every_command_exists():
    for name in COMMANDS:
        command, path, rest = find_command([name])
        assert command is not None
        assert path == f"kubectl {name}"
        assert rest == []
        assert command.help(path)


def test_flags_may_come_before_the_command():
    command, _, rest = find_command(["-n", "x", "config", "--kubeconfig=f", "view", "-o", "json"])
    assert command is not None
    assert command.name == "view"
    assert rest == ["-n", "x", "--kubeconfig=f", "-o", "json"]


def test_errors_look_as_kubectls():
    assert render_status_error(NotFound('pods "x" not found')) == 'Error from server (NotFound): pods "x" not found'
    assert render_status_error(Unauthorized("Unauthorized")).startswith("error: You must be logged in to the server")
    causes = [{"field": "spec.a", "message": "bad"}, {"field": "spec.b", "message": "worse"}]
    error = Invalid("text", details={"kind": "Pod", "name": "x", "causes": causes})
    assert render_status_error(error) == 'The Pod "x" is invalid: \n* spec.a: bad\n* spec.b: worse'


def test_objects_sort_by_quantity_number_and_natural_text():
    def names(values):
        objects = [{"v": value, "n": index} for index, value in enumerate(values)]
        return [one["v"] for one in sort_objects(objects, ".v")]

    assert names(["1Gi", "500Mi", "2G"]) == ["500Mi", "1Gi", "2G"]
    assert names(["pod-10", "pod-9"]) == ["pod-9", "pod-10"]
    assert names([3, 1, 2]) == [1, 2, 3]
    with pytest.raises(KubectlError, match="couldn't find any field with path"):
        sort_objects([{}], ".nothing")


def test_apply_writes_the_object_as_it_was_given():
    obj = {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "<&>"}}
    annotation = with_annotation(obj)["metadata"]["annotations"][LAST_APPLIED]
    assert annotation == (
        '{"data":{"x":"\\u003c\\u0026\\u003e"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"a"}}\n'
    )
    again = with_annotation(with_annotation(obj))
    assert again["metadata"]["annotations"][LAST_APPLIED] == annotation


def test_merge_patch_removes_only_what_was_applied_before():
    original = {"spec": {"a": 1, "b": 2}}
    current = {"spec": {"a": 1, "b": 2, "other": 3}, "status": {}}
    modified = {"spec": {"a": 5}}
    assert json_merge(original, modified, current) == {"spec": {"a": 5, "b": None}}
    assert json_merge(modified, modified, {"spec": {"a": 5, "z": 1}}) == {}


def test_documents_are_read_as_yaml_of_go(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(
        "apiVersion: v1\nkind: A\nx: 010\ny: on\n---\n# nothing\n---\napiVersion: v1\nkind: BList\nitems: [{kind: B}]\n"
    )
    found = [obj for _, obj in read_files([str(file)], recursive=False)]
    assert found == [{"apiVersion": "v1", "kind": "A", "x": 8, "true": True}, {"kind": "B"}]


def test_made_objects_have_the_order_of_gos_types():
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": {}, "name": "x"},
        "spec": {"restartPolicy": "x", "containers": [{"resources": {}, "image": "i", "name": "n"}]},
    }
    made = ordered(pod)
    assert list(made) == ["kind", "apiVersion", "metadata", "spec"]
    assert list(made["metadata"]) == ["name", "labels"]
    assert list(made["spec"]) == ["containers", "restartPolicy"]
    assert list(made["spec"]["containers"][0]) == ["name", "image", "resources"]


def test_long_annotations_stand_below_their_key():
    writer = Writer()
    writer.annotations("Annotations", {"a": "1", "b": "x" * 150, LAST_APPLIED: "hidden"})
    assert writer.text() == f"Annotations:  a: 1\n              b:\n                {'x' * 138}...\n"


def test_selectors_times_and_volumes_are_spelled_as_kubectl_does():
    assert (
        selector_text(
            {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["y", "x"]}]}
        )
        == "a=b,c notin (x,y)"
    )
    assert rfc1123("2026-01-02T03:04:05Z") == "Fri, 02 Jan 2026 03:04:05 +0000"
    writer = Writer()
    write_source(writer, {"name": "v", "emptyDir": {}})
    assert "SizeLimit:  <unset>" in writer.text()


def test_explain_wraps_at_blanks_and_keeps_long_words_whole():
    assert wrap("aaa bbb ccc", 7) == "aaa bbb\nccc"
    assert wrap("aaa " + "x" * 20, 7) == "aaa\n" + "x" * 20
    assert wrap("one\n\ntwo", 7) == "one\n\ntwo"

"""Links of proxied pages."""

from __future__ import annotations

import gzip

from sampan.apiserver.proxy.rewrite import decoded, rewrite_html, rewrite_url

PREFIX = "/api/v1/namespaces/ns/services/web:80/proxy"
HOSTS = ("10.0.0.1:80", "localhost:8001")


def test_absolute_paths_of_the_backend_get_the_proxy_path_in_front():
    assert rewrite_url("/a/?q=1#x", PREFIX, HOSTS) == f"{PREFIX}/a/?q=1#x"
    assert rewrite_url("http://10.0.0.1:80/a", PREFIX, HOSTS) == f"{PREFIX}/a"


def test_relative_links_other_hosts_and_rewritten_links_stay():
    for url in ("a/b", "http://example.com/a", "//cdn.example.com/a", f"{PREFIX}/a", "#top", ""):
        assert rewrite_url(url, PREFIX, HOSTS) == url


def test_only_attributes_that_hold_urls_are_rewritten():
    page = (
        b"<!-- <a href='/c'> --><a title=\"/t\" href='/x'>/y</a><script>f('<a href=\"/s\">')</script><img src=/i.png>"
    )
    prefix = PREFIX.encode()
    assert rewrite_html(page, PREFIX, HOSTS) == (
        b"<!-- <a href='/c'> --><a title=\"/t\" href='" + prefix + b"/x'>/y</a>"
        b'<script>f(\'<a href="/s">\')</script><img src="' + prefix + b'/i.png">'
    )


def test_an_encoding_that_cannot_be_undone_leaves_the_page_alone():
    assert decoded(gzip.compress(b"x"), "gzip") == b"x"
    assert decoded(b"x", "gzip") is None
    assert decoded(b"x", "br") is None

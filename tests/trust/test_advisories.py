"""Known holes of others: for each advisory that concerns what is here, the tests that prove that it does not."""

from __future__ import annotations

import ast

import pytest

from tests.docs_pages import ROOT

DOWNLOAD, ADDRESSES = "tests/transport/test_download.py", "tests/transport/test_addresses.py"
FAULTS, CLIENT, TLS = "tests/transport/test_faults.py", "tests/transport/test_client.py", "tests/transport/test_tls.py"
RULES, PACKAGE = "tests/test_source_rules.py", "tests/test_packaging.py"

ADVISORIES = {
    "CVE-2026-25580: a URL of a stored message is fetched from inside": [
        (DOWNLOAD, "test_no_spelling_leads_into_the_private_network"),
        (DOWNLOAD, "test_a_name_with_a_private_address_is_refused"),
    ],
    "CVE-2026-46678, CVE-2026-48782, CVE-2026-107289: IPv6 forms and zones of private addresses": [
        (ADDRESSES, "test_private_addresses_in_every_form"),
        (ADDRESSES, "test_a_zone_is_never_public"),
        (ADDRESSES, "test_no_ipv6_address_is_more_public_than_the_standard_library_says"),
    ],
    "CVE-2026-107288: a name that the resolver reads otherwise": [
        (ADDRESSES, "test_a_host_has_one_name"),
        ("tests/transport/test_policy.py", "test_hosts"),
        (DOWNLOAD, "test_a_name_that_means_another_address_by_now"),
    ],
    "CVE-2026-45400: two parsers of one URL": [
        (DOWNLOAD, "test_odd_urls_are_refused"),
        (CLIENT, "test_addresses_that_are_refused"),
    ],
    "CVE-2026-41481: only the first URL is checked": [(DOWNLOAD, "test_redirects_are_checked_hop_by_hop")],
    "CVE-2026-107294: unbounded downloads": [
        (DOWNLOAD, "test_large_bodies"),
        (FAULTS, "test_a_gzip_bomb_stays_small"),
        (FAULTS, "test_a_body_without_length_is_limited"),
    ],
    "CVE-2026-116685: a redirect takes the key and the prompt to another origin": [
        (FAULTS, "test_redirects_are_not_followed"),
        ("tests/faults/test_catalog.py", "test_fault"),
    ],
    "CVE-2025-68664: user data with marker keys becomes objects": [
        ("tests/messages/test_json.py", "test_marker_keys_are_only_data"),
        ("tests/messages/test_loading.py", "test_any_json_loads_or_is_refused"),
    ],
    "CVE-2025-64439, CVE-2025-14931: stored data becomes code": [
        (RULES, "test_data_never_becomes_code"),
        (RULES, "test_the_walk_finds_dangers"),
        ("tests/messages/test_json.py", "test_every_text_survives"),
    ],
    "CVE-2024-6587: who asks picks where the key goes": [
        (CLIENT, "test_a_request_does_not_choose_its_address"),
        ("tests/providers/test_base.py", "test_no_key_at_another_address"),
    ],
    "litellm 1.82.7: code that a package starts by itself": [
        (PACKAGE, "test_wheel_holds_the_package_and_nothing_else"),
        (PACKAGE, "test_sdist_is_the_repository"),
        (PACKAGE, "test_requirements"),
    ],
    "CVE-2026-21869: numbers that nobody has checked": [
        ("tests/test_settings.py", "test_settings_that_are_refused"),
        ("tests/transport/test_statuses.py", "test_impossible_policies"),
    ],
    "CVE-2024-47081: netrc replaces the key": [(CLIENT, "test_netrc_is_never_read"), (DOWNLOAD, "test_what_is_sent")],
    "CVE-2024-35195: certificates that are not checked": [
        (TLS, "test_an_unknown_certificate"),
        (TLS, "test_a_certificate_of_another_host"),
    ],
    "CVE-2024-37891, CVE-2025-50181: redirects with headers of proxies": [
        (CLIENT, "test_a_redirect_through_a_proxy_is_not_followed")
    ],
    "CVE-2026-107290, CVE-2026-107287: text of others that takes far more time than its size": [
        ("tests/models/test_scaling.py", "test_whole_answers"),
        ("tests/models/test_scaling.py", "test_streams"),
        ("tests/schema/test_scaling.py", "test_ten_times_the_input_is_ten_times_the_work"),
        ("tests/transport/test_answers.py", "test_looking_for_repetition_is_cheap"),
    ],
    "CVE-2026-21441: the body of a redirect is unpacked while it is thrown away": [
        ("tests/faults/test_http.py", "test_another_origin_sees_nothing")
    ],
    "CVE-2025-66418, CVE-2026-97688: packings without an end": [
        (FAULTS, "test_a_broken_answer_is_one_typed_error"),
        (FAULTS, "test_a_gzip_bomb_stays_small"),
    ],
    "CVE-2026-97689: a chunk-size line without an end": [("tests/transport/test_chunks.py", "test_lines_without_end")],
}
"""Of the libraries that agents are made of, from 2024 to 2026, as far as they concern what is built."""

# They concern parts that are not here: a web page, MCP, SQLite, a code sandbox, a memory tool, prompts from files, and
# what requests does with certificates inside of zip archives (the security page says why that is out of reach).
LATER = (
    *("CVE-2026-25640", "CVE-2025-66416", "CVE-2026-34742", "CVE-2026-116686", "CVE-2026-115563", "CVE-2025-53365"),
    *("CVE-2025-6514", "CVE-2026-42271", "CVE-2026-30623", "CVE-2026-96620", "CVE-2025-67644", "CVE-2026-42208"),
    *("CVE-2026-34070", "CVE-2026-34452", "CVE-2026-34450", "CVE-2025-5120", "CVE-2025-9959", "CVE-2026-4963"),
    *("CVE-2026-2654", "CVE-2026-1285", "CVE-2026-25645"),
)


@pytest.mark.parametrize("advisory", list(ADVISORIES))
def test_each_has_its_tests(advisory: str) -> None:
    """They exist by these names, and each asserts something, itself or in a function of its file."""
    for path, name in ADVISORIES[advisory]:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        called = {
            node.func.id
            for node in ast.walk(functions[name])
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        helpers = [functions[each] for each in called if each in functions]
        assert any(map(_asserts, [functions[name], *helpers])) or called & IMPORTED, (path, name)


IMPORTED = {"play"}  # what the catalogue's test calls, and what asserts all that the catalogue says


def _asserts(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.Assert) or (isinstance(node, ast.Attribute) and node.attr == "raises")
        for node in ast.walk(function)
    )


def test_none_stands_in_both_lists() -> None:
    """What is for later has no test yet, and says so."""
    assert not [number for number in LATER if any(number in advisory for advisory in ADVISORIES)]


def test_there_is_nothing_that_runs_code_of_a_model() -> None:
    """No part of the package starts a process, but the one that serves the local model; there is no sandbox."""
    starting = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "syncagent").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and "subprocess" in {alias.name for alias in node.names} | {getattr(node, "module", None)}
    }
    assert all(path.startswith("syncagent/local/") for path in starting), starting

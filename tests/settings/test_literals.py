"""Values out of flags and files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_peterrec.errors import ConfigError
from recbole_peterrec.settings.literals import parse_literal, read_yaml, to_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("~", None),
        ("None", None),
        ("true", True),
        ("FALSE", False),
        ("1e-3", 0.001),
        ("[1, 'a']", [1, "a"]),
        ("{mode: full, n: 1e5}", {"mode": "full", "n": 1e5}),
        ("print(1)", "print(1)"),
        ("[gender]", ["gender"]),
        (" [MRR,Hit] ", ["MRR", "Hit"]),
        ("[[a, 1], {b: 1e5}]", [["a", 1], {"b": 1e5}]),
        ("[]", []),
        ("[a", "[a"),
        ("a]", "a]"),
        ("[a]b]", "[a]b]"),
        ("[[a]", "[[a]"),
        ("[5,inf)", "[5,inf)"),
        ("[2020-01-01]", ["2020-01-01"]),
        ("[x, 2024-13-45]", ["x", "2024-13-45"]),
        ("[no, 010, 1:30, true, ~]", ["no", "010", "1:30", True, None]),
        ("null", None),
        ("[a, {}, null, 1e-3]", ["a", {}, None, 1e-3]),
        ("{b: no, c: 010, d: 2024-13-45}", {"b": "no", "c": "010", "d": "2024-13-45"}),
        ("[a, {b: [no], c: , 1: null}]", ["a", {"b": ["no"], "c": None, 1: None}]),
        ("[a, '5', \"~\", '[4,5]', '{']", ["a", "5", "~", "[4,5]", "{"]),
        ("[a, {b: '[4,5]'}]", ["a", {"b": "[4,5]"}]),
        ("[wow!!, a]", ["wow!!", "a"]),
        ("[!x a]", "[!x a]"),
        ("[!!python/name:os.system x]", "[!!python/name:os.system x]"),
        ("[!!binary eA==]", "[!!binary eA==]"),
        ("[*a]", "[*a]"),
        ("[&a [*a]]", "[&a [*a]]"),
    ],
)
def test_a_flag_s_text_stands_for_a_value(text, value):
    assert parse_literal(text) == value


def test_where_brackets_may_be_of_a_name_a_text_is_no_list():
    assert parse_literal("[user]", lists=False) == "[user]"
    assert parse_literal("['a']", lists=False) == ["a"]


MAPPINGS = ["{a: no, b: [1:30, 'None'], c: {d: '5'}}", "{a: 010}", "{a: null, b: }"]


@pytest.mark.parametrize("text", MAPPINGS)
def test_a_mapping_is_the_same_wherever_it_stands(text):
    value = parse_literal(text)
    assert parse_literal(f"[{text}]") == parse_literal(f"[ {text}]") == [value]
    assert parse_literal(f"[word, {text}]") == ["word", value]


_signs = st.sampled_from(" 'a\"[]{}:,#!&*5~-")


@given(st.text(st.characters(exclude_categories=("C", "Z")) | _signs))
def test_what_stands_in_quotes_is_text(text):
    quoted = "'" + text.replace("'", "''") + "'"
    assert parse_literal(f"[word, {quoted}]") == ["word", text]
    assert parse_literal(f"{{key: {quoted}}}") == {"key": text}


DEEP = pytest.param("{a: " * 20_000 + "}" * 20_000, id="deep")


@pytest.mark.parametrize(
    "text", ["{mode: [full}", "[{name: sex]", "{a: !!python/name:os.system x}", DEEP]
)
def test_a_mapping_that_is_no_yaml_is_refused(text):
    with pytest.raises(ConfigError, match="is neither a literal nor yaml"):
        parse_literal(text)


@pytest.mark.parametrize(
    "text",
    [
        "{kind: a, kind: b}",
        "{'kind': 'a', 'kind': 'b'}",
        "[{name: x, kind: a, kind: a}]",
        "[{'name': 'x', 'kind': 1, 'kind': 2}]",
        "[a, {name: x, part: {kind: 1, 'kind': 2}}]",
        "['a', {'name': 'x', 'part': {'kind': 1, 'kind': 2}}]",
    ],
)
def test_a_key_that_a_flag_s_mapping_has_twice_is_refused(text):
    with pytest.raises(ConfigError, match="key 'kind' is there twice") as refused:
        parse_literal(text)
    assert repr(text) in str(refused.value)


def test_mappings_of_a_flag_may_have_the_same_keys():
    value = [{"name": "a"}, {"name": "b", "part": {"name": "c"}}]
    assert parse_literal("[{name: a}, {name: b, part: {name: c}}]") == value
    assert parse_literal(repr(value)) == value


def test_a_text_that_no_parser_has_the_depth_for_is_a_text():
    for text in ("-" * 100_000 + "1", "[" * 100_000 + "]" * 100_000):
        assert parse_literal(text) == text


def test_a_file_is_read_as_utf_8(tmp_path):
    (tmp_path / "keys.yaml").write_bytes("field: größe\n".encode())
    assert read_yaml(tmp_path / "keys.yaml") == {"field": "größe"}


@pytest.mark.parametrize("value", ["1e3", "-2.5E+4", "7", "no", 1e3, 1e-20, "1_0e2"])
def test_what_is_written_is_read_as_it_was(tmp_path, value):
    (tmp_path / "keys.yaml").write_bytes(to_yaml({"key": [value], value: 1}))
    assert read_yaml(tmp_path / "keys.yaml") == {"key": [value], value: 1}
    assert type(read_yaml(tmp_path / "keys.yaml")["key"][0]) is type(value)


_texts = st.text(st.sampled_from("a1 \n\t\x85\u2028é中\x07'\"#:-")) | st.text()


@given(key=_texts, value=_texts)
def test_any_text_is_read_as_it_was_written(tmp_path_factory, key, value):
    path = tmp_path_factory.mktemp("text") / "keys.yaml"
    path.write_bytes(to_yaml({key: [value]}))
    assert read_yaml(path) == {key: [value]}


@pytest.mark.parametrize("text", ["1e5", "1e-3", "-2.5E+4", "+1_0e2", "1.e3"])
def test_numbers_with_an_exponent_are_numbers_in_a_file(tmp_path, text):
    (tmp_path / "keys.yaml").write_text(f"key: {text}\n")
    assert read_yaml(tmp_path / "keys.yaml") == {"key": float(text)}


@pytest.mark.parametrize("text", ["[]", "0", "false", "''", "- a"])
def test_a_file_without_keys_is_refused(tmp_path, text):
    (tmp_path / "keys.yaml").write_text(text)
    with pytest.raises(ConfigError, match="must hold key: value lines"):
        read_yaml(tmp_path / "keys.yaml")


@pytest.mark.parametrize("text", ["", "# nothing but a comment"])
def test_an_empty_file_has_no_keys(tmp_path, text):
    (tmp_path / "keys.yaml").write_text(text)
    assert read_yaml(tmp_path / "keys.yaml") == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 1\nlearning_rate: 1\nlearning_rate: 2\n", "'learning_rate'.*2 and 3"),
        ("seed: 1\n'seed': 1\n", "'seed' is there twice .lines 1 and 2"),
        ("a:\n  - {b: 1}\n  - {b: 1,\n     b: 2}\n", "'b'.*lines 3 and 4"),
        ("a: {b: {c: 1, c: 2}}", "'c' is there twice .line 1"),
        ("a: {1: x, 01: y}", "1 is there twice"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n  d: 1\n  d: 2\n", "'d'.*lines 4 and 5"),
        ("a: &a {b: 1}\na: *a\n", "'a'.*lines 1 and 2"),
    ],
)
def test_a_key_that_a_file_has_twice_is_refused_with_its_lines(tmp_path, text, told):
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"^config file {path}: key {told}"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}", {"x": 3, "y": 2}),
        ("a: &a {x: 1}\nb: {x: 3, <<: *a}", {"x": 3}),
        ("a: [&a {x: 1}, &b {x: 2, y: 2}]\nb: {<<: [*a, *b]}", {"x": 1, "y": 2}),
        ("a: [&a {x: 1}, &b {<<: *a, x: 2}]\nb: {<<: *b, x: 3}", {"x": 3}),
        # A merge inside of one that is merged, before it stands for itself.
        ("a: &a {x: 1}\nc: {<<: &c {<<: *a, x: 2}}\nb: *c", {"x": 2}),
        ("a: &a {x: 1}\nb: *a", {"x": 1}),
    ],
)
def test_what_a_file_merges_may_have_keys_that_stand_beside_it(tmp_path, text, value):
    (tmp_path / "keys.yaml").write_text(text)
    assert read_yaml(tmp_path / "keys.yaml")["b"] == value

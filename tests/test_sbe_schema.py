"""The wire format against an independent SBE decoder that knows only docs/mmquant-sbe.xml."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sbe
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant import wire
from mmquant.codes import Template
from mmquant.records import BLOCKS, GROUP, GROUPS, HEADER, SCHEMA_ID, SCHEMA_VERSION
from mmquant.sbe_schema import message_name, schema_xml

SCHEMA_FILE = Path(__file__).parents[1] / "docs" / "mmquant-sbe.xml"
TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126))


@pytest.fixture(scope="module")
def independent() -> sbe.Schema:
    return sbe.Schema.parse(io.BytesIO(SCHEMA_FILE.read_bytes()))


def values_of(field: np.dtype) -> st.SearchStrategy:
    if field.kind == "S":
        return TEXT.filter(str.strip).map(lambda text: text[: field.itemsize]) | st.just("")
    if field.kind == "f":
        return st.floats(allow_nan=False)
    limits = np.iinfo(field)
    return st.integers(int(limits.min), int(limits.max))


def records_of(dtype: np.dtype) -> st.SearchStrategy:
    return st.fixed_dictionaries({name: values_of(dtype[name]) for name in dtype.names})


def messages_of(template: Template) -> st.SearchStrategy:
    groups = {
        name: st.lists(records_of(dtype), max_size=4) for name, dtype in GROUPS.get(template, ())
    }
    return st.tuples(records_of(BLOCKS[template]), st.fixed_dictionaries(groups))


def some_message(template: Template, counts: int = 3) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give every field a different number or text, so that no two can be mistaken."""
    start = iter(range(1, 10_000))

    def fill(dtype: np.dtype) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name in dtype.names:
            number = next(start)
            if dtype[name].kind == "S":
                row[name] = f"text-{number}"
            else:
                row[name] = number
        return row

    block = fill(BLOCKS[template])
    groups = {
        name: [fill(dtype) for _ in range(counts + k)]
        for k, (name, dtype) in enumerate(GROUPS.get(template, ()))
    }
    return block, groups


def longer(dtype: np.dtype) -> np.dtype:
    return np.dtype([*((n, dtype[n]) for n in dtype.names), ("appended", "<i8")])


def appended_message(
    template: Template, block: dict[str, Any], groups: dict[str, list[dict[str, Any]]]
) -> bytes:
    """Return the message of a newer sender: one more field in the block and in each entry."""

    def rows(dtype: np.dtype, values: list[dict[str, Any]]) -> bytes:
        array = np.zeros(len(values), longer(dtype))
        array["appended"] = 0x7777777777777777
        for row, value in zip(array, values, strict=True):
            for name, field in value.items():
                row[name] = field
        return array.tobytes()

    data = rows(BLOCKS[template], [block])
    parts = [np.array((len(data), template, SCHEMA_ID, SCHEMA_VERSION + 1), HEADER).tobytes(), data]
    for name, dtype in GROUPS.get(template, ()):
        head = np.array((longer(dtype).itemsize, len(groups[name])), GROUP)
        parts += [head.tobytes(), rows(dtype, groups[name])]
    return b"".join(parts)


def test_the_schema_file_is_the_generated_one():
    text = SCHEMA_FILE.read_text(encoding="utf-8")
    assert text == schema_xml(), "run: python -m mmquant.sbe_schema"


def test_no_field_is_a_numeric_array():
    # Few decoders read them, the independent one does not.
    for dtype in BLOCKS.values():
        assert not any(dtype[name].shape for name in dtype.names)


@pytest.mark.parametrize("template", Template)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_independent_decoder_reads_what_we_encode(template, data, independent):
    block, groups = data.draw(messages_of(template))
    decoded = independent.decode(wire.encode(template, block, groups))
    assert decoded.message_name == message_name(template)
    assert decoded.header["schemaId"] == SCHEMA_ID
    assert decoded.header["version"] == SCHEMA_VERSION
    assert decoded.value == block | groups


@pytest.mark.parametrize("template", Template)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_independent_decoder_reads_groups_of_any_length(template, count, independent):
    block, groups = some_message(template, count)
    decoded = independent.decode(wire.encode(template, block, groups))
    assert decoded.value == block | groups


@pytest.mark.parametrize("template", Template)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_we_read_what_the_independent_encoder_writes(template, data, independent):
    block, groups = data.draw(messages_of(template))
    message = independent.encode(independent.messages[template], block | groups)
    assert wire.decode(message) == (template, block, groups)


@pytest.mark.parametrize("template", Template)
def test_a_present_reader_finds_the_fields_of_a_newer_sender(template):
    block, groups = some_message(template)
    received, values, entries = wire.decode(appended_message(template, block, groups))
    assert (received, values, entries) == (template, block, groups)


@pytest.mark.parametrize("template", Template)
def test_the_present_schema_reads_the_messages_of_a_newer_sender(template, independent):
    block, groups = some_message(template)
    decoded = independent.decode(appended_message(template, block, groups))
    assert decoded.value == block | groups

"""Wire messages: golden bytes, views in both directions, other versions, damage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sbe_schema import appended_message, longer, messages_of, some_message

from mmquant.codes import Template
from mmquant.records import BLOCKS, GROUP, GROUPS, HEADER, LEVEL, SCHEMA_ID, SCHEMA_VERSION
from mmquant.wire import Inbox, MessageBuffer, decode, encode

# `some_message(template, 1)` as bytes: fields numbered 1, 2, 3... in the order of the record.
GOLDEN = {
    Template.BOOK_DELTA: (
        "480001004d00010001000000000000000200000000000000030000000400000005000000000000"
        "0006000000000000000700000000000000080000000000000009000000000000000a0000000000"
        "000010000000010000000b000000000000000c0000000000000010000000020000000d00000000"
        "0000000e000000000000000f000000000000001000000000000000"
    ),
    Template.BOOK_SNAPSHOT: (
        "500002004d00010001000000000000000200000000000000030000000400000005000000000000"
        "0006000000000000000700000000000000080000000000000009000000000000000a0000000000"
        "00000b0000000c00000010000000010000000d000000000000000e000000000000001000000002"
        "0000000f00000000000000100000000000000011000000000000001200000000000000"
    ),
    Template.BEST_BID_OFFER: (
        "580003004d00010001000000000000000200000000000000030000000400000005000000000000"
        "0006000000000000000700000000000000080000000000000009000000000000000a0000000000"
        "00000b000000000000000c00000000000000"
    ),
    Template.INSTRUMENT: (
        "a00004004d000100010000000000000002000000000000000300000004000000746578742d3500"
        "000000000000000000000000000000000006000000000000000700000000000000080000000000"
        "000009000000000000000a000000000000000b000000000000000c000000000000000d0000000e"
        "0000000f0000000000000010000000000000001100000000000000120000000000000013000000"
        "000000001400000000000000"
    ),
    Template.STATE: (
        "a00005004d00010001000000000000000200000000000000030000000400000005000600070008"
        "00746578742d390000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000"
    ),
    Template.REQUEST: (
        "200006004d0001000100000000000000020000000000000003000000040000000500060007000000"
    ),
    Template.HEARTBEAT: (
        "500007004d00010001000000000000000200000000000000030000000400000005000600070008"
        "0009000000000000000a000000000000000b000000000000000c000000000000000d0000000000"
        "00000e000000000000003000000001000000746578742d31350000000000000000000000000000"
        "000000000000000000000000000000000000001000000000000000"
    ),
    Template.TRADE: (
        "500008004d00010001000000000000000200000000000000030000000400000005000000000000"
        "0006000000000000000700000000000000080000000000000009000000000000000a0000000000"
        "00000b00000000000000"
    ),
    Template.PRICING: (
        "800109004d00010001000000000000000200000000000000030000000400000005000000000000"
        "0006000000000000000700000000000000080000000000000009000000000000000a0000000000"
        "00000b0000000000000000000000000028400000000000002a400000000000002c400000000000"
        "002e40100000001100000012000000000000001300000000000000140000000000000015000000"
        "000000001600000000000000000000000000374000000000000038400000000000003940000000"
        "0000003a400000000000003b400000000000003c400000000000003d400000000000003e400000"
        "000000003f402000000000000000210000000000000022000000000000002300000000000000"
        "000000000000424000000000008042400000000000004340000000000080434000000000000044"
        "400000000000804440000000000000454000000000008045400000000000004640000000000080"
        "464000000000000047402f000000000000003000000000000000000000000080484000000000"
        "00004940"
    ),
    Template.QUOTES: (
        "d0000a004d00010001000000000000000200000000000000030000000400000005000000000000"
        "000600000000000000070000000000000000000000000020400000000000002240000000000000"
        "2440000000000000264000000000000028400000000000002a400e0000000f0010001100000000"
        "000000120000000000000013000000000000001400000000000000150000000000000016000000"
        "000000000000000000003740000000000000384000000000000039400000000000003a401b0000"
        "00000000001c000000000000001d001e001f002000100000000100000021000000000000002200"
        "000000000000100000000200000023000000000000002400000000000000250000000000000026"
        "00000000000000"
    ),
    Template.ORDER_UPDATE: (
        "58000b004d00010001000000000000000200000000000000030000000400000005000000000000"
        "0006000000000000000700000000000000080000000000000009000000000000000a000b000c00"
        "0d000e000000000000000f00000000000000"
    ),
    Template.FILL: (
        "88000c004d00010001000000000000000200000000000000030000000400000005000000000000"
        "0006000000000000000700000000000000080000000000000009000000000000000a0000000000"
        "00000b000000000000000c000000000000000d000e000f001000"
        "11000000000000001200000000000000130000000000000014000000000000001500000000000000"
    ),
    Template.POSITION: (
        "c0000d004d00010001000000000000000200000000000000030000000400000005000000000000"
        "0000000000000018400700000000000000000000000000204000000000000022400a0000000000"
        "00000b000000000000000c000000000000000d000000000000000e000000000000000f00000000"
        "000000100000000000000011000000000000001200000000000000130000000000000014000000"
        "0000000015000000000000001600000000000000170000000000000018000000"
        "000000000000000000003940"
    ),
}


def levels(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(list(rows), LEVEL)


def shorter(dtype: np.dtype) -> np.dtype:
    """Return the record without its last 8 bytes: what an older sender knew."""
    names = [n for n in dtype.names if dtype.fields[n][1] < dtype.itemsize - 8]
    return np.dtype([(name, dtype[name]) for name in names])


def older_message(template: Template, block: dict, groups: dict) -> bytes:
    """Return the message as an older sender writes it: block and entries without their ends."""

    def rows(dtype: np.dtype, values: list[dict]) -> bytes:
        array = np.zeros(len(values), shorter(dtype))
        for row, value in zip(array, values, strict=True):
            for name in array.dtype.names:
                row[name] = value[name]
        return array.tobytes()

    data = rows(BLOCKS[template], [block])
    parts = [np.array((len(data), template, SCHEMA_ID, 0), HEADER).tobytes(), data]
    for name, dtype in GROUPS.get(template, ()):
        head = np.array((shorter(dtype).itemsize, len(groups[name])), GROUP)
        parts += [head.tobytes(), rows(dtype, groups[name])]
    return b"".join(parts)


def without_last_word(dtype: np.dtype, row: dict) -> dict:
    known = shorter(dtype).names
    empty = {"S": "", "f": 0.0}
    return {
        name: value
        if name in known
        else ([0] * len(value) if isinstance(value, list) else empty.get(dtype[name].kind, 0))
        for name, value in row.items()
    }


def dirty_inbox() -> Inbox:
    inbox = Inbox()
    inbox.words[:] = -1
    return inbox


@pytest.mark.parametrize("template", Template)
def test_the_bytes_of_a_message_are_pinned(template):
    message = bytes.fromhex(GOLDEN[template])
    block, groups = some_message(template, 1)
    assert encode(template, block, groups).hex() == message.hex()
    assert decode(message) == (template, block, groups)


@pytest.mark.parametrize("template", Template)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_decode_is_the_inverse_of_encode(template, data):
    block, groups = data.draw(messages_of(template))
    assert decode(encode(template, block, groups)) == (template, block, groups)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, np.frombuffer])
def test_an_inbox_takes_any_buffer_of_bytes(kind):
    message = encode(Template.TRADE, {"price_ticks": 7})
    source = kind(message, np.uint8) if kind is np.frombuffer else kind(message)
    inbox = Inbox()
    assert inbox.receive(source) == Template.TRADE
    assert inbox.block(Template.TRADE)[0]["price_ticks"] == 7


def test_views_of_an_inbox_show_the_newest_message():
    inbox = Inbox()
    trade = inbox.block(Template.TRADE)[0]
    for ticks in (5, 6):
        inbox.receive(encode(Template.TRADE, {"price_ticks": ticks}))
        assert trade["price_ticks"] == ticks
        assert inbox.header[0]["template_id"] == Template.TRADE


def test_the_words_of_an_inbox_are_the_message():
    inbox = Inbox()
    message = encode(Template.BOOK_DELTA, {"seq": 3}, {"bids": levels((4, 5))})
    inbox.receive(message)
    assert inbox.words.dtype == np.int64
    assert inbox.words.flags.writeable
    assert inbox.words[: len(message) // 8].tobytes() == message
    assert inbox.words[1] == 3


def test_a_message_is_assigned_through_its_views():
    message = MessageBuffer(Template.QUOTES, (2, 3))
    message.block[0]["seq"] = 9
    message.set_group(0, levels((10, 1), (9, 2)))
    asks = message.group(1, 1)
    asks[0] = (11, 3)
    template, block, groups = decode(message.payload())
    assert (template, block["seq"]) == (Template.QUOTES, 9)
    assert [tuple(row.values()) for row in groups["bids"]] == [(10, 1), (9, 2)]
    assert [tuple(row.values()) for row in groups["asks"]] == [(11, 3)]
    assert message.words[1] == 9


def test_the_bytes_of_entries_make_the_same_message_as_the_entries():
    rows, message = levels((10, 1), (9, 2)), MessageBuffer(Template.QUOTES, (2, 3))
    entries = memoryview(rows.view(np.uint8))
    message.set_group(0, rows)
    message.set_group(1, rows[:1])
    expected = bytes(message.payload())
    message.set_bytes(0, entries)
    assert len(message.payload()) == len(expected) - 16  # the second is empty
    message.set_bytes(1, entries[:16])
    assert bytes(message.payload()) == expected
    for index, wrong in ((0, entries[:15]), (1, memoryview(bytes(64)))):
        with pytest.raises(ValueError, match=f"of QUOTES must be 0..{2 + index} entries of 16"):
            message.set_bytes(index, wrong)


def test_a_payload_is_a_view_of_exactly_the_message():
    message = MessageBuffer(Template.BOOK_SNAPSHOT, (5, 5))
    assert len(message.payload()) == 8 + 80 + 8 + 8
    message.set_group(0, levels((1, 1), (2, 2)))
    message.set_group(1, levels((3, 3)))
    payload = message.payload()
    assert len(payload) == 8 + 80 + 8 + 32 + 8 + 16
    message.block["seq"] = 77
    assert int.from_bytes(payload[8:16], "little") == 77


def test_a_reused_message_forgets_groups_that_are_not_set_again():
    message = MessageBuffer(Template.BOOK_DELTA, (3, 3))
    message.set_group(0, levels((1, 1)))
    message.set_group(1, levels((2, 2), (3, 3)))
    message.set_group(0, levels((4, 4), (5, 5), (6, 6)))
    _, _, groups = decode(message.payload())
    assert (len(groups["bids"]), groups["asks"]) == (3, [])


@given(sizes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_a_reused_message_is_the_same_as_a_new_one(sizes):
    message = MessageBuffer(Template.BOOK_DELTA, (4, 4))
    for number, counts in enumerate(sizes):
        groups = {
            name: [{"price_ticks": number, "qty_lots": i} for i in range(count)]
            for name, count in zip(("bids", "asks"), counts, strict=True)
        }
        for index, rows in enumerate(groups.values()):
            message.set_group(index, levels(*(tuple(row.values()) for row in rows)))
        message.block[0]["seq"] = number
        assert message.payload() == encode(Template.BOOK_DELTA, {"seq": number}, groups)


def test_more_entries_than_the_capacity_are_refused():
    message = MessageBuffer(Template.BOOK_DELTA, (2, 0))
    with pytest.raises(ValueError, match=r"bids of BOOK_DELTA must have 0\.\.2 entries, got 3"):
        message.group(0, 3)
    with pytest.raises(ValueError, match=r"asks of BOOK_DELTA must have 0\.\.0 entries, got 1"):
        message.set_group(1, levels((1, 1)))
    with pytest.raises(ValueError, match="got -1"):
        message.group(0, -1)


@pytest.mark.parametrize(
    ("template", "capacities", "complaint"),
    [
        (Template.BOOK_DELTA, (), "one number for each of the 2 groups of BOOK_DELTA, got"),
        (Template.TRADE, (1,), "one number for each of the 0 groups of TRADE"),
        (Template.HEARTBEAT, (2_000_000,), r"capacities must be 0\.\.1000000, got 2000000"),
    ],
)
def test_wrong_capacities_are_refused(template, capacities, complaint):
    with pytest.raises(ValueError, match=complaint):
        MessageBuffer(template, capacities)


@pytest.mark.parametrize("nbytes", [0, 100, 4097])
def test_an_inbox_of_a_wrong_size_is_refused(nbytes):
    with pytest.raises(ValueError, match=f"nbytes must be a multiple of 8, .* got {nbytes}"):
        Inbox(nbytes)


@pytest.mark.parametrize("template", Template)
def test_a_longer_message_of_a_newer_sender_is_read_in_place(template):
    block, groups = some_message(template)
    message = appended_message(template, block, groups)
    inbox = dirty_inbox()
    assert inbox.receive(message) == template
    assert inbox.words[: len(message) // 8].tobytes() == message
    for index, (_, dtype) in enumerate(GROUPS.get(template, ())):
        assert inbox.group(template, index).strides == (longer(dtype).itemsize,)
    assert decode(message) == (template, block, groups)


@pytest.mark.parametrize("template", Template)
def test_what_an_older_sender_does_not_know_reads_as_zero(template):
    block, groups = some_message(template)
    message = older_message(template, block, groups)
    inbox = dirty_inbox()
    assert inbox.receive(message) == template
    expected = without_last_word(BLOCKS[template], block)
    ours = encode(
        template,
        expected,
        {
            name: [without_last_word(dtype, row) for row in groups[name]]
            for name, dtype in GROUPS.get(template, ())
        },
    )
    # Kernels find the message as if it were ours, but for the version in its header.
    assert inbox.words[1 : len(ours) // 8].tobytes() == ours[8:]
    assert inbox.header[0].tolist() == (BLOCKS[template].itemsize, template, SCHEMA_ID, 0)
    assert decode(message)[1] == expected


def test_a_group_that_an_older_sender_does_not_know_is_empty():
    message = encode(Template.BOOK_DELTA, {}, {"bids": levels((1, 2))})[:-8]
    inbox = dirty_inbox()
    assert inbox.receive(message) == Template.BOOK_DELTA
    assert inbox.group(Template.BOOK_DELTA, 0).tolist() == [(1, 2)]
    assert inbox.group(Template.BOOK_DELTA, 1).size == 0


def test_lengths_that_are_no_whole_words_are_widened_to_words():
    head = np.array((29, Template.REQUEST, SCHEMA_ID, 9), HEADER).tobytes()
    inbox = dirty_inbox()
    assert inbox.receive(head + b"\1" * 29) == Template.REQUEST
    assert inbox.header[0]["block_length"] == 32
    assert inbox.words[4] == int.from_bytes(b"\1" * 5, "little")


def test_groups_after_ours_are_passed_over():
    message = encode(Template.HEARTBEAT, {"pid": 4}, {"counters": [{"name": "a", "value": 1}]})
    template, block, groups = decode(message + b"\xff" * 40)
    assert (template, block["pid"]) == (Template.HEARTBEAT, 4)
    assert groups == {"counters": [{"name": "a", "value": 1}]}


@pytest.mark.parametrize("template", Template)
def test_a_message_cut_short_anywhere_is_not_read_or_has_empty_groups(template):
    message = encode(template, *some_message(template))
    first_group = 8 + BLOCKS[template].itemsize
    ends_of_groups = {first_group} if template in GROUPS else set()
    for _, dtype in GROUPS.get(template, ()):
        count = 3 + len(ends_of_groups) - 1
        ends_of_groups.add(max(ends_of_groups) + 8 + count * dtype.itemsize)
    inbox = Inbox()
    for size in range(len(message)):
        received = inbox.receive(message[:size])
        assert received == (template if size in ends_of_groups else 0)


@pytest.mark.parametrize(
    ("field", "value"), [("schema_id", 78), ("template_id", 0), ("template_id", 999)]
)
def test_an_unknown_schema_or_template_is_not_read(field, value):
    header = np.array((80, Template.TRADE, SCHEMA_ID, SCHEMA_VERSION), HEADER)
    header[field] = value
    assert Inbox().receive(header.tobytes() + bytes(80)) == 0


def test_a_message_longer_than_the_inbox_is_not_read():
    message = encode(Template.BOOK_DELTA, {}, {"bids": levels(*((i, i) for i in range(100)))})
    assert Inbox(1024).receive(message) == 0
    older = older_message(Template.BOOK_DELTA, *some_message(Template.BOOK_DELTA, 40))
    assert len(older) < 1024
    assert Inbox(1024).receive(older) == 0


@given(data=st.binary(max_size=300), template=st.sampled_from(Template), length=st.integers(0, 200))
@settings(max_examples=300, deadline=None)
def test_groups_of_any_received_message_lie_within_the_inbox(data, template, length):
    head = np.array((length, template, SCHEMA_ID, SCHEMA_VERSION), HEADER).tobytes()
    inbox = Inbox(4096)
    if not inbox.receive(head + data):
        return
    assert inbox.header[0]["block_length"] >= BLOCKS[template].itemsize
    for index, (_, dtype) in enumerate(GROUPS.get(template, ())):
        entries = inbox.group(template, index)
        assert entries.size == 0 or entries.strides[0] >= dtype.itemsize
        entries.tolist()


@pytest.mark.parametrize(
    ("values", "groups", "error", "complaint"),
    [
        ({"prise": 1}, {}, ValueError, "fields of BOOK_DELTA must be among .* got 'prise'"),
        ({"epoch": -1}, {}, ValueError, r"BOOK_DELTA.epoch must be 0\.\.4294967295, got -1"),
        ({"seq": np.uint64(2**63)}, {}, ValueError, "BOOK_DELTA.seq must be"),
        ({"seq": 1.5}, {}, TypeError, "BOOK_DELTA.seq must be an integer, got 1.5"),
        ({}, {"bid": []}, ValueError, "groups of BOOK_DELTA must be among .*'bids'.* got"),
        ({}, {"bids": [{"qty": 1}]}, ValueError, r"fields of bids\[0\] must be among"),
    ],
)
def test_encode_refuses_what_a_message_cannot_hold(values, groups, error, complaint):
    with pytest.raises(error, match=complaint):
        encode(Template.BOOK_DELTA, values, groups)


def test_encode_refuses_text_that_is_too_long():
    with pytest.raises(ValueError, match=r"INSTRUMENT\.symbol must have at most 24 bytes"):
        encode(Template.INSTRUMENT, {"symbol": "x" * 25})


def test_text_is_utf_8_and_a_character_cut_in_two_is_replaced():
    assert decode(encode(Template.STATE, {"text": "größer"}))[1]["text"] == "größer"
    assert decode(encode(Template.STATE, {"text": "ö".encode()[:1]}))[1]["text"] == "\ufffd"


@pytest.mark.parametrize("message", [b"", b"short", bytes(200)])
def test_decode_says_why_a_message_cannot_be_read(message):
    with pytest.raises(ValueError, match=f"known template, got {len(message)} bytes that begin"):
        decode(message)

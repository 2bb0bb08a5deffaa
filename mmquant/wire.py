"""bytes <-> messages: SBE framing round the records, encoding and decoding as views of a buffer.

A `MessageBuffer` is one message to be sent again and again: assign into its views, offer its
payload. An `Inbox` is the one buffer every message is received into: read its views, or hand
its words to a kernel. `encode` and `decode` are the same for tests and notebooks, with dicts.
"""

from collections.abc import Buffer, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import Template
from mmquant.records import BLOCKS, GROUP, GROUPS, HEADER, SCHEMA_ID, SCHEMA_VERSION

__all__ = ["Inbox", "MessageBuffer", "decode", "encode"]

_HEADER_BYTES = HEADER.itemsize
_GROUP_BYTES = GROUP.itemsize
_MASK_16 = 0xFFFF
_MASK_32 = 0xFFFFFFFF
_MAX_ENTRIES = 1_000_000
_INBOX_BYTES = 512 * 1024

Entries = NDArray[Any] | Sequence[Mapping[str, Any]]


class ByteString(Buffer, Protocol):
    """Any buffer of single bytes: bytes, bytearray, memoryview, a uint8 array, a fragment."""

    def __len__(self) -> int: ...


def _header_word(template: int, block_length: int) -> int:
    return block_length | template << 16 | SCHEMA_ID << 32 | SCHEMA_VERSION << 48


def _group_dtypes(template: int) -> tuple[np.dtype[Any], ...]:
    return tuple(dtype for _, dtype in GROUPS.get(Template(template), ()))


def _round_up_to_word(nbytes: int) -> int:
    return (nbytes + 7) & ~7


class MessageBuffer:
    """One message, laid out once and sent many times.

    Groups lie one after another, so set them in order: laying out group i empties the ones
    after it. A group that is not set is empty.

    Parameters
    ----------
    template : Template
    capacities : tuple of int
        The most entries of each group, one number a group.

    Attributes
    ----------
    block : ndarray, shape (1,)
        The message's block, of the template's dtype in `records.BLOCKS`: assign into it.
    words : int64 ndarray
        The whole buffer, header first, as the kernels read and write it.

    Raises
    ------
    ValueError
        If the number of capacities is not that of the groups, or one is not 0..65535.
    """

    def __init__(self, template: Template, capacities: tuple[int, ...] = ()) -> None:
        block = BLOCKS[template]
        self.template = template
        self._dtypes = _group_dtypes(template)
        self._capacities = capacities
        if len(capacities) != len(self._dtypes):
            raise ValueError(
                f"capacities must have one number for each of the {len(self._dtypes)} groups of "
                f"{template.name}, got {capacities}"
            )
        for capacity in capacities:
            if not 0 <= capacity <= _MAX_ENTRIES:
                raise ValueError(f"capacities must be 0..{_MAX_ENTRIES}, got {capacity}")
        self._first_group = _HEADER_BYTES + block.itemsize
        sizes = [d.itemsize * n for d, n in zip(self._dtypes, capacities, strict=True)]
        nbytes = self._first_group + _GROUP_BYTES * len(sizes) + sum(sizes)
        self._buffer = np.zeros(nbytes, np.uint8)
        self._bytes = memoryview(self._buffer)
        self._longs = self._bytes.cast("Q")
        self._longs[0] = _header_word(template, block.itemsize)
        self.words: NDArray[np.int64] = self._buffer.view(np.int64)
        self.block: NDArray[Any] = self._buffer[_HEADER_BYTES : self._first_group].view(block)
        self._whole = self._bytes if not sizes else None
        self._empty_groups(0, self._first_group)

    def group(self, index: int, count: int) -> NDArray[Any]:
        """Lay out group `index` with `count` entries; return them to be assigned into.

        The entries hold whatever lay there before: assign every field. Groups after this one
        become empty.

        Raises
        ------
        ValueError
            If `count` is beyond the capacity given to the constructor.
        IndexError
            If there is no such group.
        """
        dtype = self._dtypes[index]
        if not 0 <= count <= self._capacities[index]:
            name = GROUPS[self.template][index][0]
            raise ValueError(
                f"{name} of {self.template.name} must have 0..{self._capacities[index]} entries, "
                f"got {count}: give the buffer a larger capacity"
            )
        at = self._group_at(index)
        self._longs[at >> 3] = dtype.itemsize | count << 32
        at += _GROUP_BYTES
        self._empty_groups(index + 1, at + count * dtype.itemsize)
        return np.ndarray((count,), dtype, self._bytes, at)

    def set_group(self, index: int, entries: NDArray[Any]) -> None:
        """Lay out group `index` as a copy of `entries`, an array of the group's dtype.

        Raises
        ------
        ValueError
            If there are more entries than the capacity given to the constructor.
        """
        self.group(index, len(entries))[:] = entries

    def set_bytes(self, index: int, entries: memoryview) -> None:
        """Lay out group `index` as a copy of the bytes of whole entries: quicker than set_group.

        Raises
        ------
        ValueError
            If they are no whole entries, or more than the capacity given to the constructor.
        """
        itemsize = self._dtypes[index].itemsize
        count, rest = divmod(len(entries), itemsize)
        if rest or count > self._capacities[index]:
            name = GROUPS[self.template][index][0]
            raise ValueError(
                f"{name} of {self.template.name} must be 0..{self._capacities[index]} entries of "
                f"{itemsize} bytes, got {len(entries)} bytes"
            )
        at = self._group_at(index)
        self._longs[at >> 3] = itemsize | count << 32
        at += _GROUP_BYTES
        end = at + len(entries)
        self._bytes[at:end] = entries
        self._empty_groups(index + 1, end)

    def payload(self) -> memoryview:
        """Return exactly the message's bytes: a view, valid until the next assignment."""
        if self._whole is not None:
            return self._whole
        return self._bytes[: self._group_at(len(self._dtypes))]

    def _group_at(self, index: int) -> int:
        at = self._first_group
        for _ in range(index):
            word = self._longs[at >> 3]
            at += _GROUP_BYTES + (word & _MASK_32) * (word >> 32)
        return at

    def _empty_groups(self, first: int, at: int) -> None:
        for dtype in self._dtypes[first:]:
            self._longs[at >> 3] = dtype.itemsize
            at += _GROUP_BYTES


class Inbox:
    """The one writable buffer that messages are received into, and the views to read them with.

    Newer senders may append fields to blocks and to entries, and groups after ours: views and
    group headers carry the lengths of the message. What an older sender does not know yet reads
    as zero (a missing group as empty): such a message is widened on its way in.

    Parameters
    ----------
    nbytes : int
        Longest message (after widening), a multiple of 8.

    Attributes
    ----------
    words : int64 ndarray, shape (nbytes / 8,)
        The whole buffer, header first, for the kernels. Beyond the message lie old bytes; no
        group header leads there.
    header : ndarray of records.HEADER, shape (1,)
    """

    def __init__(self, nbytes: int = _INBOX_BYTES) -> None:
        longest = _HEADER_BYTES + max(dtype.itemsize for dtype in BLOCKS.values())
        if nbytes < longest or nbytes % 8:
            raise ValueError(f"nbytes must be a multiple of 8, at least {longest}, got {nbytes}")
        self._capacity = nbytes
        self._buffer = np.zeros(nbytes, np.uint8)
        self._bytes = memoryview(self._buffer)
        self._longs = self._bytes.cast("Q")
        self.words: NDArray[np.int64] = self._buffer.view(np.int64)
        self.header: NDArray[Any] = self._buffer[:_HEADER_BYTES].view(HEADER)
        self._dtypes = {int(template): _group_dtypes(template) for template in BLOCKS}
        self._blocks: dict[int, NDArray[Any]] = {}
        # The header as our own version writes it is recognised by one look-up.
        self._known: dict[int, tuple[int, int, tuple[int, ...]]] = {}
        for template, dtype in BLOCKS.items():
            end = _HEADER_BYTES + dtype.itemsize
            self._blocks[template] = self._buffer[_HEADER_BYTES:end].view(dtype)
            lengths = tuple(group.itemsize for group in self._dtypes[template])
            word = _header_word(template, dtype.itemsize)
            self._known[word] = (int(template), end, lengths)

    def receive(self, source: ByteString) -> int:
        """Copy a message in; return its template id, 0 if it cannot be read.

        It cannot be read where the schema or the template is unknown, where it is cut short,
        or where it is longer than the inbox: the caller counts a drop. The views then show
        nothing of use. Views taken before show the new message.
        """
        size = len(source)
        if not _HEADER_BYTES <= size <= self._capacity:
            return 0
        self._bytes[:size] = source
        known = self._known.get(self._longs[0])
        if known is None:
            return self._receive_other_version(size)
        template, at, lengths = known
        if lengths:
            return self._check_groups(template, at, lengths, size)
        return template if at <= size else 0

    def block(self, template: int) -> NDArray[Any]:
        """Return the block of the message, shape (1,), of the dtype in `records.BLOCKS`."""
        return self._blocks[template]

    def group(self, template: int, index: int) -> NDArray[Any]:
        """Return the entries of the message's group `index`, of the dtype in `records.GROUPS`.

        A view, strided where the sender's entries are longer; valid until the next message.
        """
        dtype = self._dtypes[template][index]
        at = _HEADER_BYTES + (self._longs[0] & _MASK_16)
        for _ in range(index):
            word = self._longs[at >> 3]
            at += _GROUP_BYTES + (word & _MASK_32) * (word >> 32)
        word = self._longs[at >> 3]
        length, count = word & _MASK_32, word >> 32
        return np.ndarray((count,), dtype, self._bytes, at + _GROUP_BYTES, (length,))

    def _receive_other_version(self, size: int) -> int:
        word = self._longs[0]
        block_length, template, schema = word & _MASK_16, word >> 16 & _MASK_16, word >> 32
        if schema & _MASK_16 != SCHEMA_ID or template not in self._blocks:
            return 0
        ours = BLOCKS[Template(template)].itemsize
        if block_length < ours or block_length % 8:
            return self._widen(template, size)
        lengths = tuple(dtype.itemsize for dtype in self._dtypes[template])
        return self._check_groups(template, _HEADER_BYTES + block_length, lengths, size)

    def _check_groups(self, template: int, at: int, lengths: tuple[int, ...], size: int) -> int:
        # The kernels trust the group headers, so none may lead beyond the message's end.
        for ours in lengths:
            if at + _GROUP_BYTES > size:
                return self._widen(template, size)
            word = self._longs[at >> 3]
            length, count = word & _MASK_32, word >> 32
            if count and (length < ours or length % 8):
                return self._widen(template, size)
            at += _GROUP_BYTES + length * count
        return template if at <= size else 0

    def _widen(self, template: int, size: int) -> int:
        """Lay the message out anew with blocks and entries at least as long as ours."""
        message = np.array(self._buffer[:size])
        theirs = int(self.header[0]["block_length"])
        at = _HEADER_BYTES + theirs
        if at > size:
            return 0
        length = _round_up_to_word(max(theirs, BLOCKS[Template(template)].itemsize))
        parts = [_widened(message[_HEADER_BYTES:at], theirs, 1, length)]
        total = _HEADER_BYTES + length
        for dtype in self._dtypes[template]:
            header = np.zeros(1, GROUP)
            header["block_length"] = dtype.itemsize
            entries = message[:0]
            if at != size:
                if at + _GROUP_BYTES > size:
                    return 0
                header = message[at : at + _GROUP_BYTES].copy().view(GROUP)
                theirs, count = (int(header[0][f]) for f in ("block_length", "num_in_group"))
                stop = at + _GROUP_BYTES + theirs * count
                width = _round_up_to_word(max(theirs, dtype.itemsize))
                if stop > size or total + width * count > self._capacity:
                    return 0
                header["block_length"] = width
                entries = _widened(message[at + _GROUP_BYTES : stop], theirs, count, width)
                at = stop
            parts += [header.view(np.uint8), entries]
            total += _GROUP_BYTES + entries.size
        if total > self._capacity:
            return 0
        self._buffer[_HEADER_BYTES:total] = np.concatenate(parts)
        self.header["block_length"] = length
        return template


def _widened(data: NDArray[np.uint8], theirs: int, count: int, ours: int) -> NDArray[np.uint8]:
    rows = np.zeros((count, ours), np.uint8)
    rows[:, :theirs] = data.reshape(count, theirs)
    return rows.reshape(-1)


def encode(
    template: Template, values: Mapping[str, Any], groups: Mapping[str, Entries] | None = None
) -> bytes:
    """Return a message of `values` and `groups`; what is not given is zero or empty.

    Parameters
    ----------
    template : Template
    values : mapping of str to int, float, str or sequence of int
        Fields of the block, named as in `records.BLOCKS`.
    groups : mapping of str to array or sequence of mappings, optional
        Entries of the groups, named as in `records.GROUPS`.

    Raises
    ------
    ValueError
        For an unknown name, and for a value that its field cannot hold.
    TypeError
        For a value that is not an integer where the field is one.
    """
    given = dict(groups or {})
    declared = GROUPS.get(template, ())
    rows = [given.pop(name, ()) for name, _ in declared]
    if given:
        names = [name for name, _ in declared]
        raise ValueError(f"groups of {template.name} must be among {names}, got {sorted(given)}")
    message = MessageBuffer(template, tuple(len(entries) for entries in rows))
    _assign(message.block, 0, values, template.name)
    for index, entries in enumerate(rows):
        if isinstance(entries, np.ndarray):
            message.set_group(index, entries)
            continue
        target = message.group(index, len(entries))
        for i, entry in enumerate(entries):
            _assign(target, i, entry, f"{declared[index][0]}[{i}]")
    return bytes(message.payload())


def decode(
    message: ByteString,
) -> tuple[Template, dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Return a message's template, the fields of its block, and the entries of its groups.

    Numbers become int and float, byte strings str, arrays lists.

    Raises
    ------
    ValueError
        If the message cannot be read (see `Inbox.receive`).
    """
    inbox = Inbox(max(_INBOX_BYTES, _round_up_to_word(8 * len(message))))
    received = inbox.receive(message)
    if not received:
        head = bytes(memoryview(message)[:_HEADER_BYTES]).hex()
        raise ValueError(
            f"message must be a whole one of schema {SCHEMA_ID} with a known template, got "
            f"{len(message)} bytes that begin with {head or 'nothing'}"
        )
    template = Template(received)
    groups = {
        name: [_plain(entry) for entry in inbox.group(template, index)]
        for index, (name, _) in enumerate(GROUPS.get(template, ()))
    }
    return template, _plain(inbox.block(template)[0]), groups


def _assign(target: NDArray[Any], index: int, values: Mapping[str, Any], where: str) -> None:
    names = target.dtype.names or ()
    for name, value in values.items():
        if name not in names:
            raise ValueError(f"fields of {where} must be among {list(names)}, got {name!r}")
        target[name][index] = _fitting(f"{where}.{name}", target.dtype[name], value)


def _fitting(where: str, dtype: np.dtype[Any], value: Any) -> Any:
    if dtype.kind == "S":
        data = value.encode() if isinstance(value, str) else value
        if len(data) > dtype.itemsize:
            raise ValueError(f"{where} must have at most {dtype.itemsize} bytes, got {value!r}")
        return data
    if dtype.base.kind not in "iu":
        return value
    numbers = np.asarray(value, object)
    limits = np.iinfo(dtype.base)
    for number in numbers.flat:
        if not isinstance(number, int | np.integer):
            raise TypeError(f"{where} must be an integer, got {value!r}")
        if not limits.min <= number <= limits.max:
            raise ValueError(f"{where} must be {limits.min}..{limits.max}, got {value!r}")
    return value


def _plain(record: Any) -> dict[str, Any]:
    fields = {name: record[name].tolist() for name in record.dtype.names}
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in fields.items()
    }

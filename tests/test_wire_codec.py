"""Frames: every message survives the way, and nothing but a message gets through."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import WireError
from ahc_agent.wire.codec import FRAME_LIMIT_BYTES, KINDS, Reader, encode, read_from_agent, read_from_server
from ahc_agent.wire.messages import (
    PROTOCOL_VERSION,
    FromAgent,
    FromServer,
    Heartbeat,
    Hello,
    Message,
    Progress,
    Result,
    Stop,
    TaskOutcome,
)
from tests.wire_helpers import FROM_AGENT, FROM_SERVER, hello, messages

EVERY_TYPE = [*FROM_AGENT, *FROM_SERVER]


def read(message_type: type[Message], frame: bytes) -> Message:
    return read_from_agent(frame) if message_type in FROM_AGENT else read_from_server(frame)


def kind_of(frame: bytes) -> str:
    with pytest.raises(WireError) as refused:
        read_from_agent(frame)
    assert refused.value.kind in KINDS
    return refused.value.kind


@pytest.mark.parametrize("message_type", EVERY_TYPE)
@given(data=st.data())
def test_every_message_comes_back_as_it_was(message_type: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(message_type))
    assert read(message_type, encode(message)) == message


@given(messages(Result), st.randoms(use_true_random=False))
def test_frames_are_plain_messagepack_that_any_library_reads_and_writes(
    message: Message, random: Any
) -> None:
    plain = msgpack.unpackb(encode(message))
    assert plain == msgspec.to_builtins(message)
    assert plain["v"] == PROTOCOL_VERSION
    fields = list(plain.items())
    random.shuffle(fields)
    assert read_from_agent(msgpack.packb(dict(fields))) == message


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_never_crash(frame: bytes) -> None:
    assert kind_of(frame) in {"malformed", "nested"}


anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
wrong_envelopes = st.fixed_dictionaries(
    {
        "v": st.just(PROTOCOL_VERSION) | anything,
        "type": st.sampled_from(["hello", "result", "bye"]) | anything,
    },
    optional={
        "identity": anything,
        "instance": anything,
        "task_id": anything,
        "outcome": anything,
        "reason": anything,
    },
)


@given(anything | wrong_envelopes)
def test_random_objects_are_a_message_or_refused(value: Any) -> None:
    try:
        message = read_from_agent(msgpack.packb(value))
    except WireError:
        return
    assert message.__struct_config__.tag == value["type"]


@given(messages(Result) | messages(Hello), st.data())
def test_damaged_frames_are_a_message_or_refused(message: Message, data: st.DataObject) -> None:
    frame = bytearray(encode(message))
    match data.draw(st.sampled_from(["flip", "cut", "lengthen"])):
        case "flip":
            frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
        case "cut":
            del frame[data.draw(st.integers(0, len(frame) - 1)) :]
        case "lengthen":
            frame += data.draw(st.binary(min_size=1, max_size=4))
    try:
        read_from_agent(bytes(frame))
    except WireError:
        pass


def envelope(**fields: Any) -> bytes:
    frame: bytes = msgpack.packb({"v": PROTOCOL_VERSION, **fields})
    return frame


BEAT = {"type": "heartbeat", "sequence": 1, "sent_at_ns": 1}


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b"", "malformed"),
        (encode(hello())[:-1], "malformed"),
        (encode(hello()) + b"\xc0", "malformed"),
        (b"\xc1", "malformed"),
        (msgpack.packb([1, 2]), "malformed"),
        (msgpack.packb({"type": "bye"}), "malformed"),
        (msgpack.packb({"v": 1}), "malformed"),
        (msgpack.packb({1: 2, "v": 1, "type": "bye"}), "malformed"),
        (envelope(type=b"bye"), "malformed"),
        (b"\x82\xa1v\x01\xa4type\xa2\xff\xfe", "malformed"),
        (b"\x83\xa1v\x01\xa4type\xa3bye\xa1x" + b"\x91" * 100_000, "nested"),
        (b"\x83\xa1v\x01\xa4type\xa3bye\xa1x" + b"\x81\xa0" * 100_000, "nested"),
        (msgpack.packb({"v": 2, "type": "bye"}), "version"),
        (msgpack.packb({"v": 2, "type": "something of version 2", "body": [[[[1]]]]}), "version"),
        (envelope(type="pulse"), "unknown-type"),
        (envelope(type="x" * 10_000), "unknown-type"),
        (envelope(type="hello"), "invalid"),
        (envelope(**{**BEAT, "sequence": -1}), "invalid"),
        (envelope(**{**BEAT, "sequence": "1"}), "invalid"),
        (envelope(**{**BEAT, "sequence": True}), "invalid"),
        (envelope(**{**BEAT, "sequence": msgpack.ExtType(3, b"abcd")}), "invalid"),
        (envelope(**{**BEAT, "busy": "x" * 201}), "invalid"),
        (envelope(type="progress", task_id="t", fraction=math.nan), "invalid"),
        (envelope(type="progress", task_id="t", fraction=math.inf), "invalid"),
        (envelope(type="ready", task_id="t", ports={"bulk": 0}), "invalid"),
        (envelope(type="ready", task_id="t", ports={"bulk": [[[[[[1]]]]]]}), "invalid"),
        (b"\xc0" * (FRAME_LIMIT_BYTES + 1), "oversized"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_is_wrong_is_told_by_kind(frame: bytes, kind: str) -> None:
    assert kind_of(frame) == kind


def test_what_is_wrong_is_told_without_stray_quotes() -> None:
    with pytest.raises(WireError, match=r"field `v`$"):
        read_from_agent(b"\x80")


def test_a_callers_own_limit_counts() -> None:
    frame = encode(hello())
    assert read_from_agent(frame, limit=len(frame)) == hello()
    with pytest.raises(WireError, match="allowed are"):
        read_from_agent(frame, limit=len(frame) - 1)


def test_messages_of_the_other_direction_are_unknown() -> None:
    assert kind_of(encode(Stop())) == "unknown-type"
    with pytest.raises(WireError):
        read_from_server(encode(Heartbeat(sequence=1, sent_at_ns=1)))


def test_a_reader_of_one_type_reads_that_type() -> None:
    progress = Progress(task_id="t", fraction=0.5)
    assert Reader(Progress).read(encode(progress)) == progress
    with pytest.raises(WireError):
        Reader(Progress).read(encode(hello()))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_measurement_is_nan_or_infinite(value: float) -> None:
    assert (
        kind_of(encode(Result(task_id="t", outcome=TaskOutcome(status="ok", duration_s=value)))) == "invalid"
    )


def floats(
    info: msgspec.inspect.Type, seen: set[type], path: str
) -> Iterator[tuple[str, msgspec.inspect.FloatType]]:
    if isinstance(info, msgspec.inspect.FloatType):
        yield path, info
    elif isinstance(info, msgspec.inspect.StructType) and info.cls not in seen:
        seen.add(info.cls)
        for field in info.fields:
            yield from floats(field.type, seen, f"{info.cls.__name__}.{field.name}")
    elif isinstance(info, msgspec.inspect.UnionType):
        for part in info.types:
            yield from floats(part, seen, path)
    elif isinstance(info, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
        yield from floats(info.item_type, seen, path)
    elif isinstance(info, msgspec.inspect.DictType):
        yield from floats(info.value_type, seen, path)


def test_every_float_of_every_message_is_bounded_so_that_nan_and_infinity_are_refused() -> None:
    found = dict(floats(msgspec.inspect.type_info(FromAgent | FromServer), set(), ""))
    assert len(found) > 15
    assert [
        path for path, info in found.items() if info.le is None or (info.ge is None and info.gt is None)
    ] == []


@pytest.mark.parametrize(
    "frame",
    [
        # Array headers that promise much: a reader that reserves what is promised takes 8 bytes for each element.
        b"\x83\xa1v\x01\xa4type\xa3bye\xa6reason" + b"\xdc\xff\xff" * 900 + b"\xc0" * 70_000,
        b"\x84\xa1v\x01\xa4type\xa5hello\xaeunacknowledged\xdd\xff\xff\xff\xff",
        b"\x84\xa1v\x01\xa4type\xa5hello\xa8programs\xdf\xff\xff\xff\xff",
        b"\x84\xa1v\x01\xa4type\xa5hello\xa8instance\xdb\xff\xff\xff\xff",
    ],
)
def test_a_frame_cannot_make_the_reader_take_memory(frame: bytes) -> None:
    tracemalloc.start()
    try:
        kind_of(frame)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()

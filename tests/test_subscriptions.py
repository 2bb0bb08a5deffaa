"""What is subscribed to, when, and which streams are found silent: pure."""

import itertools
import json

from mm_collector.subscriptions import Subscriptions

MS = 1_000_000


def asked_of(message):
    request = json.loads(message)
    assert request["method"] == "SUBSCRIBE"
    assert len(message.encode()) < 4_000
    return request["params"]


def test_subscriptions_are_chunked_and_paced():
    names = [f"symbol{i:04}usdt@depth@100ms" for i in range(120)]
    subscriptions = Subscriptions(names, 10_000 * MS)
    asked, times = [], []
    for now_ms in range(1, 3_000, 10):
        message = subscriptions.next_message(now_ms * MS)
        if message is not None:
            asked.append(asked_of(message))
            times.append(now_ms)
    assert [len(chunk) for chunk in asked] == [50, 50, 20]
    assert list(itertools.chain(*asked)) == names
    assert all(later - earlier >= 500 for earlier, later in itertools.pairwise(times))


def test_long_names_make_smaller_chunks():
    subscriptions = Subscriptions(["x" * 200 + str(i) for i in range(40)], 10_000 * MS)
    assert len(asked_of(subscriptions.next_message(1))) < 20


def test_an_acknowledged_stream_that_delivers_nothing_is_asked_again_and_told():
    subscriptions = Subscriptions(["a@trade", "b@trade"], 100 * MS)
    asked_of(subscriptions.next_message(0))
    subscriptions.on_frame(b'{"result":null,"id":1}', 1)
    subscriptions.on_frame(b'{"stream":"a@trade","data":{}}', 2)
    assert subscriptions.silent(99 * MS) == []
    assert subscriptions.silent(100 * MS) == ["b@trade"]
    assert subscriptions.silent(101 * MS) == []
    assert asked_of(subscriptions.next_message(1_000 * MS)) == ["b@trade"]
    assert subscriptions.silent(1_199 * MS) == []  # twice as long the second time
    assert subscriptions.silent(1_200 * MS) == ["b@trade"]


def test_a_stream_that_has_ceased_is_asked_for_again_until_it_delivers():
    subscriptions = Subscriptions(["a@depth", "b@depth"], 100 * MS)
    asked_of(subscriptions.next_message(0))
    for name in ("a@depth", "b@depth"):
        subscriptions.on_frame(f'{{"stream":"{name}","data":{{}}}}'.encode(), 10 * MS)
    subscriptions.expect("a@depth", 110 * MS)
    assert subscriptions.next_message(600 * MS) is None  # it may still come
    subscriptions.expect("a@depth", 111 * MS)
    assert asked_of(subscriptions.next_message(600 * MS)) == ["a@depth"]
    subscriptions.expect("a@depth", 650 * MS)  # under way
    assert subscriptions.silent(700 * MS) == ["a@depth"]
    assert asked_of(subscriptions.next_message(1_200 * MS)) == ["a@depth"]
    subscriptions.on_frame(b'{"stream":"a@depth","data":{}}', 1_300 * MS)
    assert subscriptions.silent(9_000 * MS) == []
    assert subscriptions.heard.keys() == {"a@depth", "b@depth"}


def test_a_frame_of_a_stream_never_asked_for_is_no_success():
    subscriptions = Subscriptions(["a@depth"], 100 * MS)
    subscriptions.on_frame(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown"}}', 1)
    assert subscriptions.heard == subscriptions.firsts == {}

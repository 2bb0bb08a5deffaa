"""One open WebSocket against bytes that a venue may send."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from mm_collector.connection import open_connection
from websockets.utils import accept_key

HELLO = b"\x81\x05hello"
CLOSE_1008 = b"\x88\x02\x03\xf0"


@pytest.fixture
def behind_the_handshake():
    """Return a function that connects to a venue which sends some bytes with its handshake."""
    sockets = []

    def connect(more):
        listening = socket.create_server(("127.0.0.1", 0))
        sockets.append(listening)

        def serve_once():
            client, _ = listening.accept()
            sockets.append(client)
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", client.recv(65_536))[1].decode()
            answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            answer += f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
            client.sendall(answer.encode() + more)

        with ThreadPoolExecutor() as pool:
            served = pool.submit(serve_once)
            connection = open_connection(f"ws://127.0.0.1:{listening.getsockname()[1]}/ws", 10.0)
            served.result()
        sockets.append(connection)
        return connection

    yield connect
    for each in reversed(sockets):
        each.close()


@pytest.mark.parametrize("use", [lambda c: c.send("x"), lambda c: c.ping(), lambda c: c.poll()])
def test_a_close_that_comes_with_the_handshake_is_an_end_like_any_other(behind_the_handshake, use):
    connection = behind_the_handshake(HELLO + CLOSE_1008)
    with pytest.raises(ConnectionResetError, match=r"^closed by the venue \(code 1008\)$"):
        use(connection)
    assert [frame for frame, _ in connection.frames] == [b"hello"]


def test_what_comes_with_the_handshake_is_taken(behind_the_handshake):
    connection = behind_the_handshake(HELLO)
    connection.send("x")
    connection.poll()
    assert [frame for frame, _ in connection.frames] == [b"hello"]

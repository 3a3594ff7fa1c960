"""What a packet tells of itself."""

import pytest

from hcl.extract.video.bitstream import PacketFacts, packet_facts


def units(*contents: bytes) -> bytes:
    return b"".join(len(content).to_bytes(4, "big") + content for content in contents)


@pytest.mark.parametrize(
    ("codec", "data", "facts"),
    [
        ("h264", units(b"\x06sei", b"\x65idr"), PacketFacts(parameters=(b"",))),
        ("h264", units(b"\x41slice"), PacketFacts(entry=False, parameters=(b"",))),
        ("h264", units(b"\x67new", b"\x65idr"), PacketFacts(parameters=(b"", b"\x67new"))),
        ("h264", units(b"\x67set", b"\x65idr"), PacketFacts(parameters=(b"",))),
        ("h264", units(b"\x65idr")[:-1], PacketFacts(whole=False)),
        ("h264", units(b"\x65idr") + b"?", PacketFacts(whole=False)),
        ("h264", units(b"\x65a\0\0\0b"), PacketFacts(whole=False)),
        ("h264", units(b"\xe5idr"), PacketFacts(whole=False)),
        ("vp8", bytes([0x10]) + b"..abcdefg...", PacketFacts(parameters=(b"abcdefg",))),
        ("vp8", bytes([0x01]) + b"............", PacketFacts(shown=False)),
        ("vp9", bytes([0x82]) + b"abcdefgh....", PacketFacts(parameters=(b"abcdefgh",))),
        ("vp9", bytes([0x86]) + b"abcdefgh....", PacketFacts()),
    ],
)
def test_packets_tell_what_they_are(codec: str, data: bytes, facts: PacketFacts) -> None:
    record = b"\x01abc\xff..\x67set"  # the two lowest bits of the fifth byte: length fields of four bytes
    assert packet_facts(codec, data, record) == facts

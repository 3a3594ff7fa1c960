"""What a compressed packet tells about itself without being decoded: whole or not, shown or not, an entry or not."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class PacketFacts:
    """Facts read from the first bytes of a packet's units."""

    whole: bool = True  # its parts fill it exactly
    shown: bool = True  # it gives a frame
    entry: bool = True  # nothing before it is needed, where the container calls it a key frame
    parameters: tuple[bytes, ...] = ()  # they differ between packets if the size or the format of the frames does


def packet_facts(codec: str, data: bytes, extradata: bytes) -> PacketFacts:
    """Read the facts of one packet of an mp4 or Matroska file.

    Args:
        extradata: the stream's configuration record: how wide the length fields of H.264 and HEVC are, and the
            parameter sets that hold from the start
    """
    if codec == "h264":
        return _unit_facts(data, extradata, 4, lambda unit: unit[0] & 31, sets=7, entries=range(5, 6))
    if codec == "hevc":  # entries are the BLA, IDR and CRA pictures
        return _unit_facts(data, extradata, 21, lambda unit: unit[0] >> 1 & 63, sets=33, entries=range(16, 22))
    if codec == "vp8":
        is_key = not data[0] & 1
        return PacketFacts(shown=bool(data[0] & 0x10), parameters=(data[3:10],) if is_key else ())
    if codec == "vp9":
        # Frame marker 2 and frame type 0: the colour format and the size lie in the eight bytes after the flags.
        is_key = data[0] & 0b11001100 == 0b10000000
        return PacketFacts(parameters=(data[1:9],) if is_key else ())
    return PacketFacts()


def _unit_facts(
    data: bytes, extradata: bytes, width_at: int, kind: Callable[[bytes], int], *, sets: int, entries: range
) -> PacketFacts:
    """Read the facts of a packet made of units, each behind its length."""
    units = _units(data, (extradata[width_at] & 3) + 1) if len(extradata) > width_at else []
    # The first bit of a unit is never set, and three zero bytes in a row never occur: a hole in the file shows.
    if not units or any(unit[0] > 127 or b"\0\0\0" in unit for unit in units):
        return PacketFacts(whole=False)
    new = tuple(unit for unit in units if kind(unit) == sets and unit not in extradata)
    return PacketFacts(entry=any(kind(unit) in entries for unit in units), parameters=(b"", *new))


def _units(data: bytes, width: int) -> list[bytes]:
    """Split a packet at its length fields; an empty list means that they do not add up."""
    units, at = [], 0
    while at + width < len(data):
        end = at + width + int.from_bytes(data[at : at + width], "big")
        if end == at + width or end > len(data):
            return []
        units.append(data[at + width : end])
        at = end
    return units if at == len(data) else []

"""Tell from a container's own length fields that the end of a file is missing."""

from pathlib import Path
from typing import BinaryIO

_BOXES = b"ftyp styp moov mdat moof mfra sidx ssix free skip wide udta uuid meta pnot emsg prft".split()
_TS_PACKET, _TS_SYNC = 188, 0x47
_MATROSKA_SEGMENT = 0x18538067


def bytes_missing(path: Path) -> str:
    """Say how far the file falls short of the length it declares; "" if it does not, or declares none."""
    length = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(2 * _TS_PACKET)
        if head[4:8] in _BOXES:
            declared, has_table = _mp4_end(file, length)
            if not has_table:
                return "the file ends before its table of frames (no moov box)"
        elif head[:4] == b"RIFF":
            declared = int.from_bytes(head[4:8], "little")  # of the content: leaves 8 bytes for sloppy writers
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            declared = _matroska_end(head)
        elif head[:1] == head[_TS_PACKET : _TS_PACKET + 1] == bytes([_TS_SYNC]):
            declared = -(-length // _TS_PACKET) * _TS_PACKET
        else:
            declared = 0
    return f"the file has {length} of the {declared} bytes it declares" if declared > length else ""


def _mp4_end(file: BinaryIO, length: int) -> tuple[int, bool]:
    """Walk the top boxes: where the last one ends, and whether there is a table of frames among them."""
    end, names = 0, set()
    while end + 8 <= length:
        file.seek(end)
        header = file.read(16)
        size, name = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if name not in _BOXES or size < 8:  # bytes after the last box, or a box that reaches to the end
            break
        names.add(name)
        end += size
    return end, bool({b"moov", b"moof"} & names)


def _matroska_end(head: bytes) -> int:
    """Return where the segment ends, the second element after the EBML header; 0 if the file does not say."""
    _, size, at = _element(head, 0)
    name, size, at = _element(head, at + size)
    return at + size if name == _MATROSKA_SEGMENT else 0


def _element(head: bytes, at: int) -> tuple[int, int, int]:
    """Return an EBML element's name, its size (0 if it is not known) and where its content starts."""
    name, after = _number(head, at, keep_marker=True)
    size, start = _number(head, after, keep_marker=False)
    unknown = size == (1 << 7 * (start - after)) - 1
    return name, 0 if unknown else size, start


def _number(head: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """Read a number whose first byte's leading zeros say how many bytes follow."""
    if at >= len(head) or head[at] == 0:
        return 0, at + 1
    width = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + width], "big")
    return value if keep_marker else value & ((1 << 7 * width) - 1), at + width

"""What a container's fields tell: that its end is missing, a part is damaged, or its pictures lie in other files."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_BOXES = b"ftyp styp moov mdat moof mfra sidx ssix free skip wide udta uuid meta pnot emsg prft".split()
_TS_PACKET, _TS_SYNC = 188, 0x47
_MATROSKA_SEGMENT = 0x18538067
_LISTS = {  # how files begin that name others
    b"ffconcat": "a concat list",
    b"#EXTM3U": "a playlist (M3U)",
    b"[playlist]": "a playlist (PLS)",
    b"<ASX": "a playlist (ASX)",
    b"v=0": "a session description (SDP)",
    b"# VobSub": "an index of subtitles (VobSub)",
}
_XML_LISTS = {b"<MPD": "a DASH manifest", b"<CompositionPlaylist": "an IMF playlist", b"<smil": "a playlist (SMIL)"}
_TO_REFERENCES = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")  # boxes, from the outermost inwards


def other_files(path: Path) -> str:
    """Say in what way a file leads to others; "" if it holds its pictures itself."""
    with path.open("rb") as file:
        head = file.read(4096)
        text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        lists = [name for start, name in _LISTS.items() if text[: len(start)].lower() == start.lower()]
        lists += [name for start, name in _XML_LISTS.items() if text[:1] == b"<" and start in text]
        if lists:
            return f"it is {lists[0]}, which leads to other files; give the videos themselves"
        if head[4:8] not in _BOXES:
            return ""
        named = next(_references(file, 0, path.stat().st_size, _TO_REFERENCES), None)
    if named is None:
        return ""
    return f"its pictures or its sound lie in another file ({named!a}); save it as one file that holds them"


def _references(file: BinaryIO, start: int, end: int, names: tuple[bytes, ...]) -> Iterator[str]:
    """Yield the names of the other files in the data references of an mp4 or mov, looking into nested boxes."""
    for name, inside, after in _boxes(file, start, end):
        if name != names[0]:
            continue
        if len(names) > 1:
            yield from _references(file, inside, after, names[1:])
            continue
        for kind, at, stop in _boxes(file, inside + 8, after):  # behind version, flags and count
            file.seek(at)
            flags, content = file.read(4)[-1:], file.read(min(stop - at - 4, 1024))
            if flags == b"\1":  # in this file
                continue
            if kind == b"alis" and len(content) > 71:  # 10 bytes, the volume in 28, 12 bytes, the name in 64
                content = content[51 : 51 + min(content[50], 63)]
            found = content.rstrip(b"\0").decode("utf-8", "replace")
            if found:
                yield found


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box of an mp4 or mov, where its content starts, and where it ends."""
    while start + 8 <= end:
        file.seek(start)
        header = file.read(16)
        size, name, inside = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if size == 1:
            size, inside = int.from_bytes(header[8:16], "big"), start + 16
        size = size or end - start  # 0: to the end
        if size < inside - start:
            return
        yield name, inside, min(start + size, end)
        start += size


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
        elif head[:3] == b"GIF":
            return "" if _gif_ends(path.read_bytes()) else "the file ends before the end mark of a GIF"
        elif head[:4] == b"OggS":
            return "" if _ogg_ends(file) else "the file ends before the last page of its streams"
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


def _gif_ends(data: bytes) -> bool:
    """Return whether a GIF's blocks lead to its end mark."""

    def table(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    at = 13 + table(data[10]) if len(data) > 10 else len(data)
    while at + 10 < len(data) and data[at] != 0x3B:
        if data[at] not in (0x21, 0x2C):
            return True  # no block: damage, which the decoder meets
        at += 2 if data[at] == 0x21 else 11 + table(data[at + 9])  # an extension, or an image
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    return 0x3B in data[at : at + 11]


def _ogg_ends(file: BinaryIO) -> bool:
    """Return whether each stream of an Ogg file has its last page."""
    at = 0
    streams: dict[bytes, bool] = {}  # by serial number, whether its last page was there
    while True:
        file.seek(at)
        page = file.read(27 + 255)
        if page[:4] != b"OggS" or len(page) < 27:
            return not page and all(streams.values())
        streams[page[14:18]] = bool(page[5] & 4)
        at += 27 + page[26] + sum(page[27 : 27 + page[26]])


def failed_checksum(path: Path) -> str:
    """Say which part of a Matroska file fails its checksum; "" if none does, or there is none.

    FFmpeg's muxer and mkvmerge write them, of mkv; FFmpeg's demuxer does not check them.
    """
    with path.open("rb") as file:
        head = file.read(64)
        if head[:4] != b"\x1a\x45\xdf\xa3":
            return ""
        _, size, at = _element(head, 0)
        name, size, at = _element(head, at + size)
        length = path.stat().st_size
        end = min(at + size, length) if size else length
        while name == _MATROSKA_SEGMENT and at < end:
            file.seek(at)
            head = file.read(18)
            _, size, start = _element(head, 0)
            if not size:
                return ""  # of unknown length
            if head[start : start + 2] == b"\xbf\x84":
                file.seek(at + start + 6)
                if _crc32(file, size - 6) != int.from_bytes(head[start + 2 : start + 6], "little"):
                    return f"the part from byte {at} on fails its checksum"
            at += start + size
    return ""


def _crc32(file: BinaryIO, length: int) -> int:
    checksum = 0
    while length > 0 and (block := file.read(min(length, 1 << 20))):
        checksum, length = zlib.crc32(block, checksum), length - len(block)
    return checksum


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

"""The packet index of a video file: read by demuxing, without decoding more than one frame.

A reader that seeks finds a frame by its packet's timestamp. That is right where each packet gives exactly one shown
frame and every timestamp is the packet's own; `PacketIndex.flaw` says in which way a file falls short of it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

import av

from hcl.extract.system.errors import VideoError
from hcl.extract.video.bitstream import PacketFacts, packet_facts
from hcl.extract.video.container import capture_ffmpeg_errors, damage_named, open_video
from hcl.extract.video.container_fields import bytes_missing, failed_checksum

_SOUND_CONTAINERS = ("mov", "matroska")  # mov is the whole family: mp4, m4v, 3gp; matroska is webm, too
_SOUND_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "libdav1d")

Packet: TypeAlias = "av.Packet[av.VideoStream]"  # generic for type checkers alone


@dataclass(frozen=True, kw_only=True)
class PacketIndex:
    """The packets of a file's best video stream, in file order; the timestamps only where they can be relied on."""

    container: str
    codec: str
    shown: int  # frames to expect: packets that an edit list does not hide
    flaw: str = ""  # why frames cannot be found by timestamps
    pts: tuple[int, ...] = ()
    entries: tuple[int, ...] = ()  # key frames at which decoding can start
    upright: bool = False  # the first frame has no display matrix


@dataclass(frozen=True)
class PacketNote:
    """What the container and the first bytes of a packet say."""

    pts: int | None
    is_key: bool
    is_hidden: bool
    is_corrupt: bool
    facts: PacketFacts


def read_packet_index(path: Path) -> PacketIndex:
    """Read the packet index of a video file.

    Raises:
        VideoError: no video, empty, or truncated
    """
    with open_video(path) as (container, stream):
        notes: list[PacketNote] = []
        first = None
        with capture_ffmpeg_errors() as complained:
            with damage_named(lambda _: f"damaged: reading stops after {len(notes)} frames"):
                for packet in container.demux(stream):
                    if packet.size:
                        first = first or packet
                        notes.append(_noted(packet, stream.codec_context))
        if missing := bytes_missing(path):
            raise VideoError(f"truncated: {missing}")
        if failed := failed_checksum(path):
            raise VideoError(f"damaged: {failed}")
        if first is None:
            raise VideoError("the video stream is empty")
        for _, source, message in complained:
            if source == container.format.name:
                raise VideoError(f"damaged: the {source} container is broken inside ({message.strip()})")
        name = container.format.name.partition(",")[0]
        return _index(name, stream, notes, _first_frame(stream.codec_context, first), damaged=bool(complained))


def _noted(packet: Packet, context: av.VideoCodecContext) -> PacketNote:
    facts = packet_facts(context.name, bytes(packet), context.extradata or b"")
    return PacketNote(packet.pts, packet.is_keyframe, packet.is_discard, packet.is_corrupt, facts)


def _first_frame(context: av.VideoCodecContext, packet: Packet) -> av.VideoFrame | None:
    with suppress(VideoError), damage_named(lambda _: "damaged: the first frame cannot be decoded"):
        return next(iter([*context.decode(packet), *context.decode(None)]), None)
    return None


def _index(
    container: str, stream: av.VideoStream, notes: list[PacketNote], frame: av.VideoFrame | None, *, damaged: bool
) -> PacketIndex:
    context = stream.codec_context
    base = PacketIndex(
        container=container,
        codec=context.name,
        shown=sum(not note.is_hidden for note in notes),
        flaw=_container_flaw(container, context.name, damaged) or packets_flaw(notes),
        upright=frame is not None and "DISPLAYMATRIX" not in frame.side_data,
    )
    if base.flaw:
        return base
    pts = tuple(note.pts for note in notes if note.pts is not None)
    entries = entry_points(pts, [number for number, note in enumerate(notes) if note.is_key and note.facts.entry])
    if frame is None or entries[:1] != (0,):
        return replace(base, flaw="the first packet is no clean start")
    if frame.interlaced_frame:
        return replace(base, flaw="interlaced: a packet may hold half a frame")
    return replace(base, pts=pts, entries=entries)


def _container_flaw(container: str, codec: str, damaged: bool) -> str:
    if container not in _SOUND_CONTAINERS:
        return f"{container}: its timestamps do not tell frames apart"
    if codec not in _SOUND_CODECS:
        return f"{codec}: a packet need not give one frame"
    return "damaged packets" if damaged else ""


def packets_flaw(notes: Sequence[PacketNote]) -> str:
    """Say why the packets do not give one shown frame each, under a timestamp of its own; "" if they do."""
    stamps = [note.pts for note in notes]
    parameters = {each for note in notes for each in note.facts.parameters}
    faults = {
        "an edit list hides frames": any(note.is_hidden for note in notes),
        "damaged packets": any(note.is_corrupt or not note.facts.whole for note in notes),
        "packets without a frame": not all(note.facts.shown for note in notes),
        "frames without a timestamp": None in stamps,
        "frames with equal timestamps": len(set(stamps)) < len(stamps),
        "the stream changes its format": len(parameters) > 1,
    }
    return next((fault for fault, found in faults.items() if found), "")


def entry_points(pts: Sequence[int], keys: Sequence[int]) -> tuple[int, ...]:
    """Return the keys that are shown after all packets before them in the file and before all after them."""
    least_after = list(accumulate(reversed(pts), min))[::-1]  # from this packet on
    most_before = list(accumulate(pts, max))  # up to this packet
    return tuple(key for key in keys if pts[key] == least_after[key] == most_before[key])

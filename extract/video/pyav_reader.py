"""Read frames with PyAV: by the packet index where that is sound, else from the first frame to the last."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import cast

import av
import numpy as np

from hcl.extract.system.errors import VideoError
from hcl.extract.video.container import capture_ffmpeg_errors, damage_named, open_video
from hcl.extract.video.frames import FrameChoice, VideoFrames
from hcl.extract.video.orientation import apply_display_matrix
from hcl.extract.video.packet_index import Packet, PacketIndex

LIBVPX = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # its decoders, by codec


def read_with_pyav(path: Path, choose: FrameChoice, index: PacketIndex) -> VideoFrames:
    """Read the chosen frames of a video, decoding no more than it takes to have them exactly.

    Raises:
        VideoError: the video is damaged
    """
    video = None if index.flaw else read_indexed(path, choose, index)
    return video or read_sequentially(path, choose, index)


def read_sequentially(path: Path, choose: FrameChoice, index: PacketIndex) -> VideoFrames:
    """Decode a video from its first frame to its last, and keep the chosen frames.

    Args:
        index: where the number of frames that it expects is wrong, a second pass is made
    """
    indices = choose(max(index.shown, 1))
    images, count = _decode_all(path, set(indices), index)
    if count == 0:
        raise VideoError("no frame of the video can be decoded")
    if count != index.shown:
        indices = choose(count)
        images, _ = _decode_all(path, set(indices), index)
    return VideoFrames(_stack([images[number] for number in indices]), indices, count, "pyav")


def _decoder(stream: av.VideoStream, index: PacketIndex) -> av.VideoCodecContext:
    """The decoder of a stream: FFmpeg's own, but for VP8 and VP9.

    libvpx gives the same frames and notices more damage. It knows nothing of a display matrix.
    """
    name = LIBVPX.get(index.codec, "")
    if not index.upright or name not in av.codecs_available:
        return stream.codec_context
    context = cast("av.VideoCodecContext", av.CodecContext.create(name, "r"))
    context.thread_count = 1
    return context


def _decode_all(path: Path, wanted: set[int], index: PacketIndex) -> tuple[dict[int, np.ndarray], int]:
    images: dict[int, np.ndarray] = {}
    count = 0
    with open_video(path) as (container, stream):
        decoder = _decoder(stream, index)
        with _refused(index), damage_named(lambda e: f"damaged: decoding stops after {count} frames ({e.strerror})"):
            for packet in container.demux(stream):
                for frame in decoder.decode(packet):
                    _check(frame)
                    if count in wanted:
                        images[count] = apply_display_matrix(frame)
                    count += 1
    return images, count


@contextmanager
def _refused(index: PacketIndex) -> Iterator[None]:
    """Refuse a GIF of which FFmpeg's decoder says that a picture does not fill its frame: it returns it all the same.

    Raises:
        VideoError: with the first message
    """
    if index.codec != "gif":
        yield
        return
    with capture_ffmpeg_errors() as complained:
        yield
    if complained:
        raise VideoError(f"damaged: a frame is incomplete ({complained[0][2].strip()})")


def read_indexed(path: Path, choose: FrameChoice, index: PacketIndex, *, leave_out: bool = True) -> VideoFrames | None:
    """Decode from the entry point before each wanted frame.

    Every frame is known by its timestamp, so nothing is counted; None if one does not turn up.

    Args:
        leave_out: do not decode the frames that are neither wanted nor needed by others
    """
    order = sorted(index.pts)
    indices = choose(len(order))
    starts = [index.pts[entry] for entry in index.entries]
    wanted = sorted({order[number] for number in indices})
    images: dict[int, np.ndarray] = {}
    with open_video(path) as (container, stream):
        decoder = _decoder(stream, index)
        with damage_named(lambda error: f"damaged: a frame cannot be decoded ({error.strerror})"):
            for number, stamps in groupby(wanted, key=lambda stamp: bisect_right(starts, stamp) - 1):
                container.seek(starts[number], stream=stream)
                decoder.flush_buffers()
                packets = container.demux(stream)
                images |= _decode_span(packets, decoder, starts[number], set(stamps), leave_out=leave_out)
    if len(images) < len(wanted):
        return None
    return VideoFrames(_stack([images[order[i]] for i in indices]), indices, len(order), "pyav")


def _decode_span(
    packets: Iterator[Packet], decoder: av.VideoCodecContext, start: int, wanted: set[int], *, leave_out: bool
) -> dict[int, np.ndarray]:
    """Decode from the packet with timestamp `start` until all wanted timestamps were seen."""
    images: dict[int, np.ndarray] = {}
    for number, packet in enumerate(packets):
        if number == 0 and packet.pts != start:
            break  # the container's own seeking went elsewhere
        # Where no other frame refers to a frame, the others stay the same without it.
        may_go = leave_out and packet.size and packet.pts not in wanted
        decoder.skip_frame = "NONREF" if may_go else "DEFAULT"
        for frame in decoder.decode(packet):
            _check(frame)
            if frame.pts in wanted:
                images[frame.pts] = apply_display_matrix(frame)
        if len(images) == len(wanted):
            break
    return images


def _check(frame: av.VideoFrame) -> None:
    if frame.is_corrupt:
        when = "" if frame.time is None else f" at {frame.time:.2f} s"
        raise VideoError(f"damaged: the frame{when} is incomplete")


def _stack(images: list[np.ndarray]) -> np.ndarray:
    if len({image.shape for image in images}) > 1:
        raise VideoError("the size of the frames changes within the video")
    return np.stack(images)

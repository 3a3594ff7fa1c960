"""Encode drawn frames as H.264 in one of a few containers, byte for byte the same each time."""

import io
from functools import cache
from typing import cast

import av
import numpy as np

from hcl.extract.demo.scenes import DrawnVideo
from hcl.extract.system.errors import InputError

CONTAINERS = {"mp4": "mp4", "mkv": "matroska", "mov": "mov", "ts": "mpegts"}  # a file's ending -> PyAV's word for it
# x264's macroblock tree reads memory that it did not set (seen with AVX-512): the bytes would differ from run to run
_X264 = {"preset": "veryfast", "crf": "25", "threads": "1", "x264-params": "mbtree=0"}
_ENCODERS = {"libx264": _X264, "libopenh264": {"threads": "1"}}


@cache
def h264_encoder() -> str:
    """Name the H.264 encoder that this PyAV has."""
    for name in _ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        return name
    raise InputError(
        f"PyAV {av.__version__} has no H.264 encoder ({', '.join(_ENCODERS)}); "
        "install the published wheel: pip install --force-reinstall --only-binary av av"
    )


def encode(video: DrawnVideo, ending: str) -> bytes:
    """Encode a drawn video into the bytes of a file with this ending."""
    encoder, file = h264_encoder(), io.BytesIO()
    with av.open(file, "w", format=CONTAINERS[ending], options={"fflags": "+bitexact"}) as container:
        stream = cast(av.VideoStream, container.add_stream(encoder, rate=video.rate, options=_ENCODERS[encoder]))
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for image in video.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()

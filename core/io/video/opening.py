"""Opens files and streams by FFmpeg: which formats it may read, and which of the streams in it."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from core.checks import UserError
from core.io.stills.size_limit import check_size, largest_pixels

# Containers and raw streams that bring their frames themselves. FFmpeg knows others by their
# content, under any name: playlists, scripts and descriptions that make it open further files and
# addresses, text, and single pictures.
FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,live_flv,ogg,asf,mxf,gxf,nut,dv,dhav,rm,"
    "wtv,ivf,gif,apng,h264,hevc,vvc,m4v,h263,h261,vc1,vc1test,obu,av1,mjpeg,mpjpeg,"
    "yuv4mpegpipe,dirac,cavsvideo,avs2,avs3,dnxhd,bink,smk,swf,nsv,nuv,pva,r3d,flic,roq,"
    "cine,ser,film_cpk,"
    "mp3,flac,wav,aac,aiff,caf,wv,ape"  # to say that there is no video in them
)

_VERSION = int(av.__version__.split(".")[0])
# PyAV 19 always replaces what it cannot read; before, it raised unless told to.
_TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if _VERSION < 19 else {}
_TAKES_CODEC_OPTIONS = _VERSION >= 18
"""Before, PyAV wrote beyond its memory where a format names its streams late, as MPEG does."""
_NOT_PLAYED = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def open_container(
    address: str,
    protocols: str,
    *,
    formats: str = FORMATS,
    options: Mapping[str, str] | None = None,
    **arguments: Any,
) -> InputContainer:
    """Open what FFmpeg finds at an address, and nothing that it leads to beyond ``protocols``.

    Args:
        address: A file with the prefix ``file:``, ``pipe:0``, or a URL.
        protocols: FFmpeg's protocols by which it, and what it names, may be read.
        formats: FFmpeg's formats that it may have.
        options: Further ones of FFmpeg's formats and protocols.
        arguments: Further ones of ``av.open``.

    Raises:
        av.error.FFmpegError: If it cannot be opened; see :func:`is_other_format`.
    """
    if _TAKES_CODEC_OPTIONS:  # already while FFmpeg decodes a frame to learn the format
        arguments["options"] = {"max_pixels": str(largest_pixels())}
    allowed = {"protocol_whitelist": protocols, "format_whitelist": formats}
    return av.open(
        address, container_options={**allowed, **(options or {})}, **_TOLERANT, **arguments
    )


def find_video(container: InputContainer, name: str) -> VideoStream:
    """Return the stream that is the video: not a cover, a thumbnail or another still picture.

    Of several videos the first is taken, but one of a single frame only where there is no other.

    Raises:
        UserError: If there is none, FFmpeg lacks its decoder, or its frames are too large.
    """
    played = [s for s in container.streams.video if not s.disposition & _NOT_PLAYED]
    if not played:
        raise UserError(f"{name} has no video stream; give a video or a folder of images.")
    # Of a codec that is not known there is no context.
    known = [s for s in played if s.codec_context is not None]  # pyright: ignore
    if not known:
        raise UserError(
            f"the video in {name} is of a codec that FFmpeg does not decode here; convert it, for "
            "example to H.264."
        )
    stream = next((s for s in known if s.frames != 1), known[0])
    check_size(stream.height, stream.width, name)
    return stream


def is_other_format(error: Exception) -> bool:
    """Whether :func:`open_container` failed because of the format."""
    return isinstance(error, av.error.FFmpegError) and error.errno == errno.EINVAL


def reason_of(error: Exception) -> str:
    """Return FFmpeg's or the system's message of an error, without its number."""
    if isinstance(error, av.error.ExitError):
        return "nothing came in time"
    return getattr(error, "strerror", None) or str(error)

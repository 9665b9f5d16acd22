"""What a run may be trained on, for the command lines of both stages."""

from __future__ import annotations

from dataclasses import dataclass

from core.data.clips import ClipOptions
from core.data.procedural import ProceduralOptions
from core.training import DataOptions


@dataclass(frozen=True, kw_only=True)
class OnClips:
    """Trained on a folder of clips."""

    clips: ClipOptions
    """Clips on disk."""

    @property
    def data(self) -> DataOptions:
        """What is trained on."""
        return DataOptions(clips=self.clips)


@dataclass(frozen=True, kw_only=True)
class OnScenes:
    """Trained on procedural scenes, which need no files."""

    @property
    def data(self) -> DataOptions:
        """What is trained on."""
        return DataOptions(procedural=ProceduralOptions())


@dataclass(frozen=True, kw_only=True)
class OnBoth:
    """Trained on a folder of clips and on procedural scenes."""

    clips: ClipOptions
    """Clips on disk."""
    procedural_share: float = 0.5
    """Share of procedural samples."""

    @property
    def data(self) -> DataOptions:
        """What is trained on."""
        return DataOptions(
            clips=self.clips,
            procedural=ProceduralOptions(),
            procedural_share=self.procedural_share,
        )

"""Where the page is served and what it takes; free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from hcl.extract.system.settings import ADVANCED, COMPUTED, check_settings, setting

HOST = "127.0.0.1"
MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class AppConfig:
    """How the page is served."""

    port: int = setting(8765, "Port on 127.0.0.1; 0: any that is free.", group=COMPUTED, at_least=0, at_most=65535)
    max_upload: int = setting(500, "Largest file that the page takes, in MB.", at_least=1, at_most=100_000)
    upload_timeout: int = setting(
        600, "Seconds in which a file must have come from the browser.", group=ADVANCED, at_least=1
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def most_bytes(self) -> int:
        """Of a file that the page takes."""
        return self.max_upload * MEGABYTE

"""Models from the hub: nobody is asked in offline mode, and a silent network is given up in time."""

import socket
import time

import pytest

from hcl.extract.hub.class_texts import embed_texts
from hcl.extract.hub.loading import Unavailable, model_folder
from hcl.extract.system.errors import InputError


def test_offline_mode_asks_nobody(silent_hub: list[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="HF_HUB_OFFLINE"):
        embed_texts(["up"], "someone/some-model")
    assert not silent_hub


def test_a_silent_network_is_given_up_in_time(silent_hub: list[socket.socket]) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no answer from the model hub|cannot be reached"):
        model_folder("someone/some-model", hello_seconds=4.0)  # enough to start the download's process
    assert time.monotonic() - began < 60 and silent_hub

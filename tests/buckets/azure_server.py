"""Azure Blob Storage as Microsoft's own emulator has it: Azurite, where it is installed (npm install -g azurite)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shutil
import subprocess
import urllib.request
from email.utils import formatdate

COMMAND = "azurite-blob"
ACCOUNT = "devstoreaccount1"  # it and its key are the emulator's, known to all
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-08-06"


class AzureServer:
    """Listens on a free port of this machine and keeps everything in memory."""

    def __init__(self) -> None:
        command = shutil.which(COMMAND)
        assert command is not None
        self._process = subprocess.Popen(
            [command, "--inMemoryPersistence", "--blobPort", "0", "--skipApiVersionCheck", "--silent"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        said = ""
        while not (found := re.search(r"successfully listens on (http://\S+)", said)):
            line = self._process.stdout.readline()
            assert line, f"{COMMAND} ended: {said}"
            said += line
        self.url = found[1]

    def make_container(self, name: str) -> None:
        """Make a container, which a request with the account's signature does."""
        date = formatdate(usegmt=True)
        signed = f"PUT{12 * chr(10)}x-ms-date:{date}\nx-ms-version:{VERSION}\n/{ACCOUNT}/{ACCOUNT}/{name}\n"
        digest = hmac.new(base64.b64decode(KEY), f"{signed}restype:container".encode(), hashlib.sha256).digest()
        headers = {"Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"}
        headers |= {"x-ms-date": date, "x-ms-version": VERSION, "Content-Length": "0"}
        address = f"{self.url}/{ACCOUNT}/{name}?restype=container"
        urllib.request.urlopen(urllib.request.Request(address, method="PUT", headers=headers)).read()

    def stop(self) -> None:
        """Listen no more."""
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

"""A server of the S3 protocol on this machine, moto's, for all tests of buckets; and a proxy before it that fails."""

import importlib.util
import itertools
import urllib.request
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.system.places import connecting, failures

ROOT = Path(__file__).parents[2]
COUNTED = itertools.count()
NEED_NO_SERVER = ("test_location.py", "test_ahead.py")
VARIABLES = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_DEFAULT_REGION")
VARIABLES += ("AWS_SKIP_SIGNATURE", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "HTTP_PROXY", "http_proxy", "AWS_CONFIG_FILE")
PROXY = importlib.util.spec_from_file_location("bucket_proxy", ROOT / "benchmarks" / "bucket_proxy.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, and say so, where the extra is not installed; what needs no server runs."""
    missing = [name for name in ("obstore", "boto3", "moto", "flask") if importlib.util.find_spec(name) is None]
    for item in items:
        if missing and Path(__file__).parent in item.path.parents and item.path.name not in NEED_NO_SERVER:
            item.add_marker(pytest.mark.skip(reason=f'needs {missing[0]}: pip install "hcl[cloud,test]"'))


@pytest.fixture(scope="session")
def server() -> Iterator[int]:
    """The port of the server."""
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the server's own packages
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer

        running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        running.start()
    yield running.get_host_and_port()[1]
    running.stop()


@pytest.fixture(scope="session")
def proxy(server: int) -> Iterator[Any]:
    """The proxy before the server; what it does is set by its `faults`."""
    assert PROXY is not None and PROXY.loader is not None
    module = importlib.util.module_from_spec(PROXY)
    import sys

    sys.modules["bucket_proxy"] = module  # where its dataclasses look themselves up
    PROXY.loader.exec_module(module)
    made = module.FaultyProxy(server)
    made.module = module
    yield made
    made.stop()


@pytest.fixture
def faults(proxy: Any) -> Iterator[Any]:
    """What goes wrong, which is nothing after the test."""
    proxy.faults = proxy.module.Faults()
    yield proxy.faults
    proxy.faults = proxy.module.Faults()


@pytest.fixture
def bucket(server: int, proxy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh bucket, which the environment's credentials open, by way of the proxy."""
    name = f"bucket-{next(COUNTED)}"
    make_bucket(server, name)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    given = {"AWS_ACCESS_KEY_ID": "AKIAKEYOFTHETESTS", "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests"}
    for variable, value in (given | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": proxy.url}).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(failures, "FIRST_WAIT", timedelta(milliseconds=2))
    monkeypatch.setattr(connecting, "TIME_OUT", timedelta(seconds=2))
    forget_connections()
    yield f"s3://{name}"
    forget_connections()


def forget_connections() -> None:
    """Let the next request look at the environment anew."""
    connecting.bucket_store.cache_clear()
    connecting._session.cache_clear()


def make_bucket(port: int, name: str) -> None:
    """Make a bucket on the server."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="PUT")
    urllib.request.urlopen(request).read()

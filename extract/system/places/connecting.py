"""From a URL to a connection: obstore's store of a bucket, with its credentials, region, endpoint and time limits."""

from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hcl.extract.system.errors import InputError
from hcl.extract.system.places import failures
from hcl.extract.system.places.failures import KEYS, told

if TYPE_CHECKING:
    from obstore.store import ObjectStore

AZURE_CREDENTIALS = (  # those that obstore finds in the environment
    *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY", "AZURE_STORAGE_TOKEN"),
    *("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CLIENT_SECRET", "AZURE_CLIENT_SECRET"),
    *("AZURE_FEDERATED_TOKEN_FILE", "AZURE_MSI_ENDPOINT", "AZURE_IDENTITY_ENDPOINT", "AZURE_SKIP_SIGNATURE"),
)
TIME_OUT, CONNECT_TIME_OUT = timedelta(seconds=30), timedelta(seconds=5)  # without a byte, and to connect
WHOLE_REQUEST = timedelta(hours=2)  # a long video on a slow line


_CUT_OFF: list[bool] = []  # something, in a process that was forked from one with connections: obstore's threads died


@lru_cache(maxsize=64)
def bucket_store(scheme: str, bucket: str, prefix: str | None = None) -> ObjectStore:
    """Connect to a bucket, once in a process; nothing is sent yet.

    Args:
        scheme: one of SCHEMES
        bucket: its name
        prefix: that all names are below; None: all of the bucket

    Raises:
        InputError: if obstore is missing, or what a connection needs is not known
    """
    if _CUT_OFF:
        raise InputError(
            f"{scheme}://{bucket}: a forked process has no connection of its own; let it start anew, such as by"
            ' DataLoader(..., multiprocessing_context="spawn")'
        )
    if find_spec("obstore") is None:
        raise InputError(f'{scheme}://{bucket}: buckets need obstore: pip install "hcl[cloud]"')
    connect = {"s3": _s3_store, "gs": _google_store, "az": _azure_store}[scheme]
    try:
        return connect(bucket, {"retry_config": _retries(), "prefix": prefix})
    except InputError:
        raise
    except Exception as error:  # of any kind: what obstore says of a wrong setting
        raise failures.one_line(f"{scheme}://{bucket}", scheme, error) from None


def _begin_anew() -> None:
    """Forget the connections of the process that this one was forked from."""
    if bucket_store.cache_info().currsize:
        _CUT_OFF.append(True)
    bucket_store.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def _s3_store(bucket: str, further: dict[str, Any]) -> ObjectStore:
    """A bucket of AWS or of a server that speaks its protocol: by path, and by http on this machine alone."""
    from obstore.store import S3Store

    session = None if _environment_signs() else _session(bucket)
    endpoint = _variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") or _of_profile(session, "endpoint")
    region = _variable("AWS_REGION", "AWS_DEFAULT_REGION") or _of_profile(session, "region")
    if region is None and endpoint is None:
        raise InputError(
            f"s3://{bucket}: the bucket's region is not known, and is not guessed; set AWS_REGION, such as eu-west-1"
        )
    if endpoint is not None:
        further |= {"endpoint": endpoint}
    if session is not None:
        from obstore.auth.boto3 import Boto3CredentialProvider

        further |= {"credential_provider": Boto3CredentialProvider(session)}
    return S3Store(
        bucket,
        region=region or "us-east-1",
        virtual_hosted_style_request=_variable("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") or "false",
        client_options=_client(allow_http=endpoint is not None and _is_plain(f"s3://{bucket}", endpoint)),
        **further,
    )


def _google_store(bucket: str, further: dict[str, Any]) -> ObjectStore:
    """A bucket of Google, or of a server that plays its part on this machine."""
    from obstore.store import GCSStore

    endpoint = _variable("STORAGE_EMULATOR_HOST")
    if endpoint is None:
        return GCSStore(bucket, client_options=_client(), **further)
    endpoint = endpoint if "://" in endpoint else f"http://{endpoint}"
    nobody = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    account = {**nobody, "gcs_base_url": endpoint.rstrip("/"), "disable_oauth": True}
    allowed = _is_plain(f"gs://{bucket}", endpoint)
    return GCSStore(
        bucket, service_account_key=json.dumps(account), client_options=_client(allow_http=allowed), **further
    )


def _azure_store(bucket: str, further: dict[str, Any]) -> ObjectStore:
    """A container of Azure, or of a server that plays its part on this machine."""
    from obstore.store import AzureStore

    emulates = (_variable("AZURE_STORAGE_USE_EMULATOR") or "").lower() in ("1", "true")
    endpoint = _variable("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
    if emulates:
        endpoint = _variable("AZURITE_BLOB_STORAGE_URL") or "http://127.0.0.1:10000"
    elif not any(map(_variable, AZURE_CREDENTIALS)) and _did_az_login():
        further |= {"use_azure_cli": True}  # else obstore asks for the machine's identity alone
    allowed = endpoint is not None and _is_plain(f"az://{bucket}", endpoint)
    return AzureStore(bucket, client_options=_client(allow_http=allowed), **further)


def _did_az_login() -> bool:
    """Whether Azure's own command is there and knows a subscription."""
    folder = Path(_variable("AZURE_CONFIG_DIR") or Path.home() / ".azure")
    try:
        profile = json.loads((folder / "azureProfile.json").read_text(encoding="utf-8-sig"))
        return bool(profile["subscriptions"] and shutil.which("az"))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _environment_signs() -> bool:
    """Whether the environment has keys, or says that requests go unsigned."""
    return bool(_variable("AWS_ACCESS_KEY_ID")) or (_variable("AWS_SKIP_SIGNATURE") or "").lower() in ("1", "true")


@lru_cache(maxsize=8)
def _session(bucket: str) -> Any:
    """The profile of the configuration files, or what else boto3 finds, such as the role of a machine.

    Raises:
        InputError: if there are no credentials anywhere
    """
    try:
        import boto3
    except ModuleNotFoundError as error:
        raise InputError(f's3://{bucket}: profiles need boto3: pip install "hcl[cloud]"') from error
    with told(f"s3://{bucket}", "s3"):  # such as for a profile that is not there
        session = boto3.Session()
        found = session.get_credentials()
    if found is None:
        raise InputError(f"s3://{bucket}: no credentials were found; {KEYS['s3']}")
    return session


def _of_profile(session: Any, what: str) -> str | None:
    """The region or the endpoint that a profile names."""
    if session is None:
        return None
    if what == "region":
        return session.region_name or None
    scoped = session._session.get_scoped_config()  # boto3 itself does not say it
    named = scoped.get("endpoint_url")
    return str(named) if named else None


def _variable(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _is_plain(place: str, endpoint: str) -> bool:
    """Whether an endpoint is reached without encryption, which is for this machine alone.

    Raises:
        InputError: if it is elsewhere
    """
    address = urlsplit(endpoint)
    if address.scheme == "https":
        return False
    host = address.hostname or ""
    if address.scheme == "http" and _is_loopback(host):
        return True
    raise InputError(
        f"{place}: the endpoint {address.scheme}://{host} is not encrypted; expected https:// (http:// is for this"
        " machine alone, such as http://localhost:9000)"
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _client(*, allow_http: bool = False) -> Any:
    waits = {"timeout": WHOLE_REQUEST, "read_timeout": TIME_OUT, "connect_timeout": CONNECT_TIME_OUT}
    return {"allow_http": allow_http, **waits}


def _retries() -> Any:
    backoff = {"init_backoff": failures.FIRST_WAIT, "max_backoff": failures.LONGEST_WAIT, "base": 2}
    return {"max_retries": failures.TRIES, "retry_timeout": failures.GIVEN_UP, "backoff": backoff}

"""From a URL to a connection: obstore's store of a bucket, its credentials, retries, and errors in one line."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import SCHEMES

if TYPE_CHECKING:
    from obstore.store import ObjectStore

TRIES = 6  # after the first one, of a request that met a server error, a time-out or a cut connection
AGAIN = 3  # tries of all of that, where the connection fails
FIRST_WAIT, LONGEST_WAIT = timedelta(milliseconds=100), timedelta(seconds=15)  # between tries; it doubles
GIVEN_UP = timedelta(minutes=3)
TIME_OUT, CONNECT_TIME_OUT = timedelta(seconds=30), timedelta(seconds=5)  # without a byte, and to connect
WHOLE_REQUEST = timedelta(hours=2)  # a long video on a slow line
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "InvalidToken"}
REFUSED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "AuthorizationHeaderMalformed"}
RENEW = {
    "s3": "renew them, such as with: aws sso login, or set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
    "gs": "renew them, such as with: gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "renew them, such as with: az login, or set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
KEYS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (public: AWS_SKIP_SIGNATURE=true)",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or run: az login",
}


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
    try:
        from obstore.store import AzureStore, GCSStore
    except ModuleNotFoundError as error:
        raise InputError(f'{scheme}://{bucket}: buckets need obstore: pip install "hcl[cloud]"') from error
    further: dict[str, Any] = {"retry_config": _retries(), "prefix": prefix}
    try:
        if scheme == "s3":
            return _s3_store(bucket, further)
        store = GCSStore if scheme == "gs" else AzureStore
        return store(bucket, client_options=_client(), **further)
    except InputError:
        raise
    except Exception as error:  # of any kind: what obstore says of a wrong setting
        raise _told(f"{scheme}://{bucket}", scheme, error) from None


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
    backoff = {"init_backoff": FIRST_WAIT, "max_backoff": LONGEST_WAIT, "base": 2}
    return {"max_retries": TRIES, "retry_timeout": GIVEN_UP, "backoff": backoff}


@contextmanager
def told(place: object, scheme: str) -> Iterator[None]:
    """Turn what a request met into one line that shows no credentials; a missing object stays FileNotFoundError.

    Args:
        place: that was asked for
        scheme: of its URL

    Raises:
        InputError: if the bucket refuses or cannot be reached
        FileNotFoundError: if there is no such object
    """
    try:
        yield
    except FileNotFoundError as error:
        if _code(error) in ("NoSuchBucket", "ContainerNotFound"):
            raise _told(place, scheme, error) from None
        raise FileNotFoundError(f"{place}: no such object") from None
    except Exception as error:
        if type(error).__module__.startswith(("obstore", "botocore", "boto3")) and not _is_answer(error):
            raise _told(place, scheme, error) from None
        raise


def _is_answer(error: Exception) -> bool:
    """Whether an error is the answer to a conditional request, which its sender waits for."""
    return type(error).__name__ in ("AlreadyExistsError", "PreconditionError", "NotSupportedError", "NotModifiedError")


class BucketError(InputError):
    """A bucket refuses or cannot be reached, which says nothing of what it holds."""


class UnreachedError(BucketError):
    """The connection failed."""


def _told(place: object, scheme: str, error: Exception) -> BucketError:
    """The one line; of what the server says, nothing but its code, since the rest may name keys."""
    code, text, kind = _code(error), str(error), type(error).__name__
    status = re.search(r"status code: (\d{3})", text)
    if code in EXPIRED:
        return BucketError(f"{place}: the credentials have expired ({code}); {RENEW[scheme]}")
    if code in ("NoSuchBucket", "ContainerNotFound"):
        return BucketError(f"{place}: no such bucket; make it, or correct its name")
    if code == "PermanentRedirect" or "301 Moved" in text or code == "IllegalLocationConstraintException":
        return BucketError(f"{place}: the bucket is in another region; set AWS_REGION to that of the bucket")
    if code in REFUSED or kind == "UnauthenticatedError" or "NoCredentials" in kind or "CredentialProvider" in text:
        return BucketError(f"{place}: the credentials are not accepted ({code or kind}); {KEYS[scheme]}")
    if kind == "PermissionDeniedError" or (status and status[1] == "403"):
        return BucketError(
            f"{place}: no permission ({code or 403}); ask for it, or name other credentials: {KEYS[scheme]}"
        )
    if status:
        return BucketError(
            f"{place}: the server answers {' '.join(filter(None, (status[1], code)))} again and again; try later"
        )
    if "error sending request" in text or "HTTP error" in text:
        why = "timed out" if "kind: Timeout" in text else "the connection fails"
        return UnreachedError(
            f"{place}: {SCHEMES[scheme]} cannot be reached ({why}); check the network and the endpoint"
        )
    return BucketError(f"{place}: {SCHEMES[scheme]} cannot be used ({kind}: {_plain_reason(text)}); check its settings")


def _code(error: BaseException) -> str:
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found[1] if found else ""


def _plain_reason(text: str) -> str:
    """The first line of what obstore says, without what may be a key or a token."""
    line = (text.strip().splitlines() or [""])[0]
    return re.sub(r"[A-Za-z0-9+/=_%-]{16,}", "...", line)[:120]


def again(request: Callable[[], Any], place: object, scheme: str) -> Any:
    """Send a request, and repeat it where the connection fails.

    Obstore repeats what fails before an answer begins, and only what may be sent twice; here the rest is repeated.
    """
    wait = FIRST_WAIT.total_seconds()
    for left in reversed(range(AGAIN)):
        try:
            with told(place, scheme):
                return request()
        except InputError as error:
            if not left or not isinstance(error, UnreachedError):
                raise
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT.total_seconds())
    raise ValueError("no tries")

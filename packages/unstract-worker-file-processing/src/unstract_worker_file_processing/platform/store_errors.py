"""What the errors of stores' drivers mean. Their texts are not read: they may hold credentials and URLs."""

from unstract_worker_file_processing.executor import NotNow

# What the drivers raise where a server refuses the credentials, by name: they need not be installed. S3's reasons that
# are final, in place of a mere "access denied", which may concern one operation; and the one that our clock causes.
_CREDENTIALS_REFUSED = frozenset(
    {
        "AuthenticationException", "ClientAuthenticationError", "DefaultCredentialsError", "NoCredentialsError",
        "PartialCredentialsError", "PermissionError",
    }
)  # fmt: skip
S3_KEY_REFUSED = frozenset({"AccountProblem", "ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
_S3_CLOCK = "RequestTimeTooSkewed"
_HTTP_REFUSED = (401, 403)


class BucketMissing(NotNow):
    """The platform's own store does not have the bucket or folder that its variables name."""


def s3_code(error: BaseException) -> str:
    """S3's own word for an error; "" for other stores."""
    response = getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def credentials_refused(error: BaseException) -> bool:
    """Whether a store refuses the credentials, or what they ask for."""
    names = {each.__name__ for each in type(error).__mro__}
    statuses = (getattr(error, "code", None), getattr(error, "status_code", None))  # of Google's drivers, and Azure's
    refused = bool(names & _CREDENTIALS_REFUSED) or any(status in _HTTP_REFUSED for status in statuses)
    return refused and s3_code(error) != _S3_CLOCK

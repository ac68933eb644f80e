"""How to reach the sandbox: addresses and the variables that AWS's SDKs read. Imports nothing heavy."""

__all__ = ["ACCESS_KEY_ID", "ACCOUNT_ID", "REGION", "SECRET_ACCESS_KEY", "variables"]

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
# Twenty characters, as moto expects of a key; neither opens anything but the sandbox.
ACCESS_KEY_ID = "AKIAVALKEEPERSANDBOX"
SECRET_ACCESS_KEY = "sandbox"  # noqa: S105


def variables(
    endpoint_url: str, access_key_id: str = ACCESS_KEY_ID, secret_access_key: str = SECRET_ACCESS_KEY
) -> dict[str, str]:
    """Return the environment in which any AWS SDK talks to the sandbox and to nothing else, as one account's user."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }

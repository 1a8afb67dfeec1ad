"""S3 endpoint, region and certificates, read once for both boto3 and pyarrow, so that they use the same store.

pyarrow knows AWS_ENDPOINT_URL, but neither the configuration file's endpoint_url nor AWS_CA_BUNDLE. botocore finds all
of them, of the profile in use; what it finds is handed to both.
"""

from typing import Any

import botocore.session
from botocore.configprovider import ConfiguredEndpointProvider


class S3Access:
    """Endpoint and certificates that environment and AWS configuration files name at this moment."""

    def __init__(self) -> None:
        self.session = botocore.session.Session()
        provider = ConfiguredEndpointProvider(
            full_config=self.session.full_config, scoped_config=self.session.get_scoped_config(), client_name="s3"
        )
        ignored = bool(self.session.get_config_variable("ignore_configured_endpoint_urls"))
        self.endpoint = "" if ignored else str(provider.provide() or "")
        """Of a store of one's own; "" = AWS."""
        self.ca_file = str(self.session.get_config_variable("ca_bundle") or "")
        """Certificates to trust instead of the system's; "" = those."""

    def addressing(self) -> Any:  # noqa: ANN401 - botocore-stubs keep their type private
        """Return botocore's `s3` settings: bucket.host needs wildcard DNS, which stores of one's own seldom have."""
        return {"addressing_style": "path"} if self.endpoint else {}

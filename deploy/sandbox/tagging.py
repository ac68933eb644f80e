"""Resource Groups Tagging: GetResources with pages that hold while the account changes."""

from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.resourcegroupstaggingapi import urls as moto_urls
from moto.resourcegroupstaggingapi.exceptions import ResourceGroupsTaggingAPIError
from moto.resourcegroupstaggingapi.models import (
    ResourceGroupsTaggingAPIBackend,
    resourcegroupstaggingapi_backends,
)

from deploy.sandbox.paging import page

__all__ = ["install"]


class _Tagging(ResourceGroupsTaggingAPIBackend):
    """Moto's, but for paging: its pages break when a resource comes or goes between two."""

    @property
    def _url_module(self) -> Any:
        return moto_urls

    def get_resources(
        self,
        pagination_token: str | None = None,
        resources_per_page: int = 50,
        tags_per_page: int = 100,  # noqa: ARG002 - a page never holds as many tags here
        tag_filters: list[dict[str, Any]] | None = None,
        resource_type_filters: list[str] | None = None,
        resource_arn_list: list[str] | None = None,
    ) -> tuple[str | None, list[TaggedResource]]:
        """Return the next page's token, or None, and a page of resources."""
        found = self._get_resources_generator(tag_filters, resource_type_filters, resource_arn_list)
        try:
            shown, token = page(found, lambda resource: resource.arn, resources_per_page, pagination_token)
        except ValueError:
            raise ResourceGroupsTaggingAPIError(
                "PaginationTokenExpiredException", "Token does not exist"
            ) from None
        # AWS's last page has an empty token.
        return token or "", shown


def install() -> None:
    """Put this in moto's place; to be called before the first request."""
    resourcegroupstaggingapi_backends.backend = _Tagging

"""Which loopback address is the registry of which account and region."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from havre.control.images.kinds import ADDRESS, AddressSpec
from havre.control.operation import Site
from havre.kernel.resource import NoStatus
from havre.store.ports import Reader, Store, Transaction

HOME = "127.0.0.1"
"""Address of the site's own account and region."""
_AWS_HOST = re.compile(r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]{2,25})\.")


def address_of(reader: Reader, site: Site, account: str, region: str) -> str | None:
    """None when none was given out yet."""
    if (account, region) == (site.account, site.region):
        return HOME
    found = reader.get(ADDRESS, account, region, "registry")
    return None if found is None else found.spec.address


async def ensure_address(store: Store, site: Site, account: str, region: str) -> str:
    """Gives out an address, once and for good. Raises Temporary when the disk refuses."""
    known = address_of(store, site, account, region)
    if known is None:
        known = await store.transact(lambda change: _allocate(change, account, region))
    return known


def _allocate(change: Transaction, account: str, region: str) -> str:
    found = change.get(ADDRESS, account, region, "registry")
    if found is not None:
        return found.spec.address
    address = next(a for a in _candidates(f"{account}/{region}") if not change.count(ADDRESS, "address", a))
    change.create(
        ADDRESS,
        account=account,
        region=region,
        name="registry",
        arn=f"arn:aws:ecr:{region}:{account}:registry",
        spec=AddressSpec(address),
        status=NoStatus(),
    )
    return address


def _candidates(who: str) -> Iterator[str]:
    """127.0.1.1 to 127.0.254.254, from a place that depends on who asks, so that a new state gives the same address."""
    start = zlib.crc32(who.encode())
    for step in range(254 * 254):
        third, fourth = divmod((start + step) % (254 * 254), 254)
        yield f"127.0.{third + 1}.{fourth + 1}"


def addresses(reader: Reader) -> list[str]:
    """Every address besides HOME on which the registry must answer."""
    return [r.spec.address for r in reader.list(ADDRESS)]


def lookup(reader: Reader, site: Site, address: str, host: str) -> tuple[str, str]:
    """(account, region) that a request is for: by the host name in it if it is of AWS's form, else by the address that
    it came to; the site's own where neither tells."""
    named = _AWS_HOST.match(host)
    if named:
        return named[1], named[2]
    found = reader.find(ADDRESS, "address", address) if address != HOME else ()
    if found:
        return found[0].meta.account, found[0].meta.region
    return site.account, site.region

"""Which internet addresses a reference may come from.

A URI is written by whoever wrote the manifest, so a fetch must not become a door into the cluster's own network.
Names are not judged: however a host is spelled (2130706433, 0x7f.1, a name whose owner points it at 127.0.0.1), it is
resolved first, every address it resolves to is judged, and the connection goes to a judged address, never to the name
again. The tables are our own because `ipaddress` calls 192.0.0.192 and 64:ff9b::a9fe:a9fe global.
"""

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from idgen.errors import Code, RowError

Resolver = Callable[[str, int], list[str]]
"""(host, port) -> every IP address of it; raises OSError or UnicodeError when there is none."""

_DENIED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches the machine itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier NAT; 100.100.100.200 is a metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's wire server on a public-looking address
        "169.254.0.0/16",  # link local: metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 was a metadata service
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved and broadcast
    )
)
_ALLOWED_V6 = IPv6Network("2000::/3")  # all that is routed in public; loopback, ULA, link local, multicast lie outside
_DENIED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, with Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_CARRY_V4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))  # mapped; NAT64, all an IPv6-only cluster has


def is_public(address: str) -> bool:
    """Return whether `address` (an IP address as text) lies in the public internet; False for other text."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if any(parsed in network for network in _CARRY_V4):
            return _is_public_v4(IPv4Address(int(parsed) & 0xFFFFFFFF))
        return parsed in _ALLOWED_V6 and not any(parsed in network for network in _DENIED_V6)
    return _is_public_v4(parsed)


def _is_public_v4(address: IPv4Address) -> bool:
    return not any(address in network for network in _DENIED_V4)


def resolve(host: str, port: int) -> list[str]:
    """Return every address the system's resolver knows for `host`, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def reachable_addresses(
    host: str, port: int, *, private_hosts: Sequence[str] = (), resolver: Resolver = resolve
) -> list[str]:
    """Return the addresses of `host` that a connection may be opened to.

    One bad address among several refuses the host: a mixed answer is how a name gets past a check of its first
    address. `private_hosts` ("host:port", "[::1]:port") are not judged. Raises RowError: `uri_forbidden` for a
    forbidden address or an impossible name, `fetch_failed` when the name does not resolve.
    """
    try:
        addresses = resolver(host, port)
    except UnicodeError:
        raise RowError(Code.URI_FORBIDDEN, "no host name") from None
    except OSError as error:
        raise RowError(Code.FETCH_FAILED, f"the host name cannot be resolved ({error.strerror})") from None
    if not addresses:
        raise RowError(Code.FETCH_FAILED, "the host name has no address")
    spelled = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if spelled.lower() in {allowed.lower() for allowed in private_hosts}:
        return addresses
    if not all(is_public(address) for address in addresses):
        raise RowError(Code.URI_FORBIDDEN, "the host's address is not a public one (see sources.private_hosts)")
    return addresses

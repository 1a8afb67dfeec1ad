import itertools
import socket

import pytest
from doubles import http_server as http

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.addresses import is_public, reachable_addresses
from idgen.sources.fetch import Fetcher

# every way to write an address that must not be reached, as the host of a URL
SPELLINGS = [
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0x7F.0x0.0x0.0x1",
    "017700000001", "0177.0.0.1", "0177.1", "0", "0.0.0.0", "①②⑦.0.0.1", "１２７.０.０.１", "127。0。0。1",
    "localhost", "LOCALHOST", "localhost.", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::127.0.0.1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:7f00:1]", "10.0.0.1", "10.255.255.255", "0xa000001",
    "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.257", "169.254.169.254", "2852039166", "0xa9fea9fe",
    "0251.0376.0251.0376", "169.254.43518", "[::ffff:169.254.169.254]", "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[2002:7f00:1::1]",
    "[2001:0:a9fe:a9fe::5601:5601]", "[fe80::1]", "[fe80::a9fe:a9fe]", "[fd00:ec2::254]", "[fd20:ce::254]",
    "[fc00::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[3fff::1]", "[100::1]", "[5f00::1]", "100.64.0.1",
    "100.100.100.200", "100.127.255.255", "168.63.129.16", "192.0.0.192", "192.0.0.170", "192.0.2.1",
    "198.51.100.7", "203.0.113.9", "198.18.0.1", "198.19.255.255", "192.88.99.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255",
]  # fmt: skip
# the same as addresses, for what a name may resolve to
ADDRESSES = [
    s.strip("[]") for s in SPELLINGS if s.startswith("[") or (s.strip("0123456789.") == "" and s.count(".") == 3)
]
PUBLIC = ["93.184.216.34", "8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "11.0.0.1"]
PUBLIC_V6 = ["2606:2800:220:1:248:1893:25c8:1946", "2a00:1450::1", "64:ff9b::808:808", "::ffff:8.8.8.8"]


def code_of(call):
    with pytest.raises(RowError) as caught:
        call()
    return caught.value.code


@pytest.fixture
def no_connections(monkeypatch):
    """Every attempt to connect, to anywhere but our own servers; the list must stay empty."""
    tried = []
    real = socket.create_connection

    def watched(address, *args, **kwargs):
        if address[0] != "127.0.0.1" or address[1] < 1024:
            tried.append(address)
            raise ConnectionRefusedError("no network in tests")
        return real(address, *args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", watched)
    monkeypatch.setattr("idgen.sources.deadline.FIRST_WAIT_S", 0.001)
    return tried


@pytest.fixture(scope="module")
def server():
    with http.HttpServer() as running:
        yield running


def test_the_matrix_is_as_large_as_promised():
    assert len(set(SPELLINGS)) >= 40
    assert len(set(ADDRESSES)) >= 40


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_spelling_is_fetched_directly(spelling, scheme, no_connections):
    code = code_of(lambda: Fetcher(SourcesConfig(deadline_s=5.0)).fetch(f"{scheme}://{spelling}/latest/meta-data"))
    assert code == Code.URI_FORBIDDEN
    assert no_connections == []


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_is_fetched_after_a_redirect(spelling, server, no_connections):
    server.routes["/away"] = http.redirect(f"http://{spelling}/latest/meta-data")
    fetcher = Fetcher(SourcesConfig(private_hosts=[server.private_host], deadline_s=5.0))
    code = code_of(lambda: fetcher.fetch(server.url("/away")))
    assert code == Code.URI_FORBIDDEN
    assert no_connections == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_name_that_points_inside_is_fetched(address, no_connections):
    fetcher = Fetcher(SourcesConfig(deadline_s=5.0), resolver=lambda host, port: [address])
    assert code_of(lambda: fetcher.fetch("https://photos.example/a.jpg")) == Code.URI_FORBIDDEN
    assert no_connections == []


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_inside_address_among_public_ones_refuses_the_name(address, place, no_connections):
    answers = [PUBLIC[0], PUBLIC_V6[0]]
    answers.insert(place, address)
    fetcher = Fetcher(SourcesConfig(deadline_s=5.0), resolver=lambda host, port: answers)
    assert code_of(lambda: fetcher.fetch("https://photos.example/a.jpg")) == Code.URI_FORBIDDEN
    assert no_connections == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_name_that_changes_its_mind_is_asked_once_and_pinned(address, no_connections):
    """DNS rebinding: public when checked, inside a moment later. The connection goes to what was checked."""
    answers = itertools.chain([["93.184.216.34"]], itertools.repeat([address]))
    fetcher = Fetcher(SourcesConfig(deadline_s=5.0), resolver=lambda host, port: next(answers))
    # the first try connects to the checked address (refused here), the next one resolves and is forbidden
    assert code_of(lambda: fetcher.fetch("http://photos.example/a.jpg")) == Code.URI_FORBIDDEN
    assert no_connections == [("93.184.216.34", 80)]


def test_what_the_resolver_said_is_where_the_connection_goes(server):
    """The same name, pinned: a name that exists nowhere is reached at the address that was checked."""
    server.routes["/photo"] = http.answer(200, b"photo")
    config = SourcesConfig(private_hosts=[f"photos.example:{server.port}"])
    fetcher = Fetcher(config, resolver=lambda host, port: ["127.0.0.1"])
    assert fetcher.fetch(server.url("/photo", host="photos.example")) == b"photo"
    assert server.requests[-1][1]["Host"] == f"photos.example:{server.port}"


@pytest.mark.parametrize("address", PUBLIC + PUBLIC_V6)
def test_public_addresses_are_tried(address, no_connections):
    fetcher = Fetcher(SourcesConfig(deadline_s=5.0), resolver=lambda host, port: [address])
    assert code_of(lambda: fetcher.fetch("https://photos.example/a.jpg")) == Code.FETCH_FAILED
    assert no_connections == [(address, 443)] * 4


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8\\@127.0.0.1/", "http://8.8.8.8\t@127.0.0.1/", "http://8.8.8.8\n.example/", "http://[::1/",
        "http://8.8.8.8:99999/", "http://8.8.8.8:x/", "http://\x00/", "http://" + "a" * 70 + ".example/",
        "http://a..b/", "http://127.0.0.1%00.example/",
    ],
)  # fmt: skip
def test_addresses_that_programs_read_differently_are_forbidden(url, no_connections):
    code = code_of(lambda: Fetcher(SourcesConfig(deadline_s=2.0)).fetch(url))
    assert code == Code.URI_FORBIDDEN or (code == Code.FETCH_FAILED and "%00" in url)
    assert no_connections == []


def test_userinfo_that_looks_like_a_host_is_no_host(no_connections):
    fetcher = Fetcher(SourcesConfig(deadline_s=2.0))
    assert code_of(lambda: fetcher.fetch("http://8.8.8.8@127.0.0.1/")) == Code.URI_FORBIDDEN
    assert code_of(lambda: fetcher.fetch("http://8.8.8.8:80#@127.0.0.1/")) == Code.FETCH_FAILED
    assert {address for address, _ in no_connections} == {"8.8.8.8"}


@pytest.mark.parametrize(
    ("private", "host", "port", "allowed"),
    [
        ("127.0.0.1:9000", "127.0.0.1", 9000, True),
        ("Store.Internal:9000", "store.internal", 9000, True),
        ("[::1]:9000", "::1", 9000, True),
        ("127.0.0.1:9000", "127.0.0.1", 9001, False),
        ("127.0.0.1:9000", "other.internal", 9000, False),
        ("127.0.0.1", "127.0.0.1", 80, False),
    ],
)
def test_a_private_host_is_one_host_and_one_port(private, host, port, allowed):
    def reach():
        return reachable_addresses(host, port, private_hosts=[private], resolver=lambda h, p: ["127.0.0.1"])

    if allowed:
        assert reach() == ["127.0.0.1"]
    else:
        assert code_of(reach) == Code.URI_FORBIDDEN


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "1.2.3.4/32", "::g"])
def test_what_is_no_address_is_not_public(text):
    assert not is_public(text)

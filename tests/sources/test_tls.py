import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from doubles import http_server as http

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.fetch import Fetcher

NAME = "photos.example"


def certificate(name, folder):
    """A self-signed certificate for `name`; returns its file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An https server for photos.example; `server.names` are the names clients asked for in TLS."""
    files = certificate(NAME, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    names = []
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    monkeypatch.setattr("idgen.sources.deadline.FIRST_WAIT_S", 0.01)
    with http.HttpServer(context) as running:
        running.names = names
        running.certificate = str(files[0])
        running.routes["/photo"] = http.answer(200, b"photo")
        yield running


def fetcher_of(server, **settings):
    hosts = [f"{name}:{server.port}" for name in (NAME, "other.example", "127.0.0.1")]
    return Fetcher(SourcesConfig(private_hosts=hosts, **settings), resolver=lambda host, port: ["127.0.0.1"])


def refused(fetcher, url):
    with pytest.raises(RowError) as caught:
        fetcher.fetch(url)
    assert caught.value.code == Code.FETCH_FAILED
    assert "TLS" in caught.value.detail
    return True


def test_a_self_signed_server_is_refused(server):
    assert refused(fetcher_of(server), server.url("/photo", host=NAME))
    assert server.requests == []


def test_the_pinned_connection_keeps_the_name_in_tls(server, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", server.certificate)
    assert fetcher_of(server).fetch(server.url("/photo", host=NAME)) == b"photo"
    assert server.names == [NAME]
    assert server.requests[-1][1]["Host"] == f"{NAME}:{server.port}"


def test_a_certificate_for_another_name_is_refused(server, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", server.certificate)
    assert refused(fetcher_of(server), server.url("/photo", host="other.example"))
    assert refused(fetcher_of(server), server.url("/photo", host="127.0.0.1"))
    assert server.requests == []


def test_a_redirect_from_https_to_http_is_forbidden(server, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", server.certificate)
    server.routes["/down"] = http.redirect(server.url("/photo", host=NAME).replace("https", "http"))
    with pytest.raises(RowError) as caught:
        fetcher_of(server).fetch(server.url("/down", host=NAME))
    assert caught.value.code == Code.URI_FORBIDDEN


def test_the_deadline_holds_over_tls(server, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", server.certificate)
    server.routes["/drip"] = http.drip(0.1)
    with pytest.raises(RowError) as caught:
        fetcher_of(server, deadline_s=1.0).fetch(server.url("/drip", host=NAME))
    assert caught.value.code == Code.FETCH_TIMEOUT

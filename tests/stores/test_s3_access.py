"""boto3 and pyarrow ask the same store, wherever its address and its certificates are written down."""

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from idgen.config import SourcesConfig
from idgen.sources.fetch import Fetcher
from idgen.stores.opening import open_store
from idgen.stores.s3_access import S3Access

SERVICES = "[profile shop]\nservices = ours\n[services ours]\ns3 =\n  endpoint_url = {}\n"


def all_three_agree(bucket: str) -> None:
    """boto3 writes, pyarrow reads, the fetch of photos reads."""
    store = open_store(f"s3://{bucket}/out")
    store.put("a.txt", b"mine")
    filesystem, root = store.filesystem()
    with filesystem.open_input_file(f"{root}/a.txt") as file:
        assert file.read() == b"mine"
    assert Fetcher(SourcesConfig()).fetch(f"s3://{bucket}/out/a.txt") == b"mine"


@pytest.mark.parametrize("text", ["[default]\nendpoint_url = {}\n", SERVICES])
def test_an_endpoint_of_the_configuration_file_is_everybodys(s3_bucket, s3_server, monkeypatch, tmp_path, text: str):
    (tmp_path / "config").write_text(text.format(s3_server.endpoint))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    if "shop" in text:
        monkeypatch.setenv("AWS_PROFILE", "shop")
    all_three_agree(s3_bucket)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_of_the_environment_is_everybodys(s3_bucket, s3_server, monkeypatch, tmp_path, name: str):
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:9\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv(name, s3_server.endpoint)
    all_three_agree(s3_bucket)


@pytest.mark.parametrize("ignore", ["true", "false"])
def test_endpoints_that_are_to_be_ignored_are_nobodys(monkeypatch, tmp_path, ignore: str):
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:9\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", ignore)
    access = S3Access()
    assert access.endpoint == ("" if ignore == "true" else "http://127.0.0.1:8")
    assert access.addressing() == ({} if ignore == "true" else {"addressing_style": "path"})


@pytest.mark.parametrize("place", ["environment", "file"])
def test_own_certificates_are_everybodys(s3_bucket, s3_server, monkeypatch, tmp_path, place: str):
    with tls_in_front_of(urlsplit(s3_server.endpoint).port, tmp_path) as (port, ca_file):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://localhost:{port}")
        if place == "environment":
            monkeypatch.setenv("AWS_CA_BUNDLE", ca_file)
        else:
            monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
            (tmp_path / "config").write_text(f"[default]\nca_bundle = {ca_file}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        all_three_agree(s3_bucket)


@contextmanager
def tls_in_front_of(port: int | None, folder: Path) -> Iterator[tuple[int, str]]:
    """A TLS door to a local port; its own port, and the file of the certificate to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = localhost(folder)
    context.load_cert_chain(certificate)
    with socket.create_server(("localhost", 0)) as door:
        threading.Thread(target=_serve, args=(door, context, port), daemon=True).start()
        yield door.getsockname()[1], str(certificate)


def _serve(door: socket.socket, context: ssl.SSLContext, port: int | None) -> None:
    while True:
        try:
            plain, _ = door.accept()
        except OSError:
            return
        threading.Thread(target=_join, args=(plain, context, port), daemon=True).start()


def _join(plain: socket.socket, context: ssl.SSLContext, port: int | None) -> None:
    try:
        outside = context.wrap_socket(plain, server_side=True)
        inside = socket.create_connection(("127.0.0.1", port))
    except OSError:
        return
    threading.Thread(target=_pump, args=(outside, inside), daemon=True).start()
    _pump(inside, outside)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def localhost(folder: Path) -> Path:
    """A certificate that signs itself, with its key behind it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, *form)
    path = folder / "localhost.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path

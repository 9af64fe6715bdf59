"""A time-stamp authority of one's own (RFC 3161): a root, a certificate of its, and a web server that answers.

Its answers are put together here from ASN.1, not by the library that is to check them; OpenSSL agrees with them
(`tests/unit/audit/test_timestamp.py`).
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_NUMBERS = count(1)
#: Certificates count from then to then.
SINCE, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)


class Stamper:
    """Root and certificate, and the answers that they make.

    Args:
        usage: what its certificate is for.
    """

    def __init__(self, usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING) -> None:
        root_key, self._key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        number = next(_NUMBERS)
        root_name, name = _name(f"root {number}"), _name(f"authority {number}")
        no_usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "key_cert_sign",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        self.root = (
            _certificate(root_name, root_key.public_key())
            .issuer_name(root_name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**no_usage | {"key_cert_sign": True}), critical=True)
            .sign(root_key, hashes.SHA256())
        )
        self._certificate = (
            _certificate(name, self._key.public_key())
            .issuer_name(root_name)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**no_usage | {"digital_signature": True}), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
            .sign(root_key, hashes.SHA256())
        )

    def write_root(self, path: Path) -> Path:
        """Put the root's certificate into a file."""
        path.write_bytes(self.root.public_bytes(Encoding.PEM))
        return path

    def answer(self, query: bytes, **changes: Any) -> bytes:
        """The answer to a request, right or with changes: `at`, `nonce`, `digest`, `serial`."""
        asked = tsp.TimeStampReq.load(query)
        imprint = asked["message_imprint"]
        told = {
            "version": "v1",
            "policy": "1.2.3.4.1",
            "message_imprint": {
                "hash_algorithm": imprint["hash_algorithm"],
                "hashed_message": changes.get("digest", imprint["hashed_message"].native),
            },
            "serial_number": changes.get("serial", 1),
            "gen_time": changes.get("at", datetime.now(UTC)),
            "nonce": changes.get("nonce", asked["nonce"].native),
        }
        content = tsp.TSTInfo(told).dump()
        certificate = asn1_x509.Certificate.load(self._certificate.public_bytes(Encoding.DER))
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [sha256(content).digest()]}),
                cms.CMSAttribute(
                    {
                        "type": "signing_certificate_v2",
                        "values": [{"certs": [{"cert_hash": sha256(certificate.dump()).digest()}]}],
                    }
                ),
            ]
        )
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    "issuer_and_serial_number",
                    cms.IssuerAndSerialNumber(
                        {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
                    ),
                ),
                "digest_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
                "signed_attrs": attributes,
                "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
                "signature": self._key.sign(attributes.untag().dump(), ec.ECDSA(hashes.SHA256())),
            }
        )
        signed = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [algos.DigestAlgorithm({"algorithm": "sha256"})],
                "encap_content_info": {
                    "content_type": "tst_info",
                    "content": core.ParsableOctetString(content),
                },
                "certificates": [cms.CertificateChoices("certificate", certificate)],
                "signer_infos": [signer],
            }
        )
        token = cms.ContentInfo({"content_type": "signed_data", "content": signed})
        answer: bytes = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump()
        return answer


def refusal(words: str) -> bytes:
    """What an authority answers to a request that it does not like."""
    text = _der(0x30, _der(0x0C, words.encode()))
    return _der(0x30, _der(0x30, _der(0x02, b"\x02") + text))


class Authority:
    """A web server that answers requests for time-stamps.

    Args:
        answer: to a request; by default the right one.
    """

    def __init__(self, answer: Callable[[bytes], bytes] | None = None) -> None:
        self.stamper = Stamper()
        #: What it answers; may be replaced. Returning nothing at all leaves the request without an answer.
        self.answer: Callable[[bytes], bytes] = answer or self.stamper.answer
        self.status = 200
        #: What was asked, in order.
        self.queries: list[bytes] = []
        self.asked = threading.Event()
        #: Requests without an answer end then.
        self.over = threading.Event()
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/timestamp-query"
                authority.queries.append(query)
                authority.asked.set()
                answer = authority.answer(query)
                if not answer:
                    authority.over.wait()
                    return
                self.send_response(authority.status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/tsr"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _der(tag: int, content: bytes) -> bytes:
    assert len(content) < 0x80
    return bytes([tag, len(content)]) + content


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"recorder test {common}")])


def _certificate(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(SINCE)
        .not_valid_after(UNTIL)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )

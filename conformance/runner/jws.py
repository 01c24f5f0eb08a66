"""A JWS in compact form, signed with RSA (PKCS #1 v1.5) by the throw-away key of the fixtures."""

import base64
import hashlib

from .fill import dump

# The head of a DigestInfo for each hash: what PKCS #1 puts before the digest.
DIGEST_INFO = {
    "sha256": "3031300d060960864801650304020105000420",
    "sha384": "3041300d060960864801650304020205000430",
    "sha512": "3051300d060960864801650304020305000440",
}


def jws(spec, signer):
    """`payload` is a JSON value or, as `payloadText`, any text; `tamper` breaks the signature, `x5c` adds the certificate."""
    header = {"alg": spec.get("alg", "RS256")}
    if spec.get("x5c"):
        header["x5c"] = [signer["certificate"]] if spec["x5c"] is True else spec["x5c"]
    payload = spec["payloadText"] if "payloadText" in spec else dump(spec["payload"])
    signed = encode(dump(header).encode()) + b"." + encode(payload.encode())
    hash_name = "sha" + (header["alg"][2:] if header["alg"][2:] in ("256", "384", "512") else "256")
    value = bytearray(sign(signed, hash_name, signer))
    if spec.get("tamper"):
        value[-1] ^= 1
    return signed + b"." + encode(bytes(value))


def sign(message, hash_name, signer):
    modulus, exponent = int(signer["modulus"], 16), int(signer["exponent"], 16)
    size = (modulus.bit_length() + 7) // 8
    digest = bytes.fromhex(DIGEST_INFO[hash_name]) + hashlib.new(hash_name, message).digest()
    padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    return pow(int.from_bytes(padded, "big"), exponent, modulus).to_bytes(size, "big")


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")

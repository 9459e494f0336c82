"""Promise: no key is taken under which a signature proves nothing, or a seal hides nothing, or which has two spellings.

The points are made here from the curve equation (RFC 8032, section 5.1), not copied; the idea to try every encoding of
small order, canonical or not, is that of C2SP's CCTV (ed25519vectors).
"""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tests.support.daemon import CHEAP, PASSPHRASE, Daemon
from tests.support.forge import REFUSED, Forger, Line
from vaultd_api.v1 import client_service_pb2
from vaultd_client import ClientKey
from vaultd_client.errors import InvalidError

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
L = 2**252 + 27742317777372353535851937790883648493
Point = tuple[int, int]
ZERO: Point = (0, 1)


def add(one: Point, other: Point) -> Point:
    """Adds points of the twisted Edwards curve -x² + y² = 1 + d·x²·y²."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P,
    )


def times(factor: int, point: Point) -> Point:
    total = ZERO
    while factor:
        if factor & 1:
            total = add(total, point)
        point, factor = add(point, point), factor >> 1
    return total


def point_at(y: int) -> Point | None:
    """Returns the point with even x at height y, if there is one (RFC 8032, section 5.1.3)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return (P - x if x & 1 else x, y)


def low_order_points() -> list[Point]:
    """Returns the eight points whose order divides 8: multiples of L times any point that generates them."""
    for y in range(2, 200):
        point = point_at(y)
        generator = times(L, point) if point else ZERO
        if times(4, generator) != ZERO:
            return [times(factor, generator) for factor in range(8)]
    raise AssertionError("no generator found")


def encode(y: int, sign: int) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def low_order_encodings() -> list[bytes]:
    """Returns every 32 bytes that some decoder takes for a point of low order: y below 2²⁵⁵, reduced or not, any sign."""
    heights = {y for _, y in low_order_points()}
    heights |= {y + P for y in heights if y + P < 2**255}
    return [encode(y, sign) for y in sorted(heights) for sign in (0, 1)]


LOW_ORDER = low_order_encodings()
NOT_CANONICAL = [encode(y, sign) for y in range(P, 2**255) for sign in (0, 1)]
NO_POINT = [encode(y, 0) for y in range(2, 40) if point_at(y) is None]


def test_the_encodings_tried_are_all_there_are() -> None:
    points = low_order_points()
    assert len(set(points)) == 8
    assert all((-x * x + y * y - 1 - D * x * x * y * y) % P == 0 and times(8, (x, y)) == ZERO for x, y in points)
    canonical = {encode(y, x & 1) for x, y in points}
    assert len(LOW_ORDER) == len(set(LOW_ORDER)) == 14
    assert canonical < set(LOW_ORDER)
    assert len(NOT_CANONICAL) == 38


def test_with_the_worst_of_them_anyone_could_sign_anything() -> None:
    everybody = encode(1, 0)
    forged = everybody + bytes(32)  # R = the neutral point, S = 0
    Ed25519PublicKey.from_public_bytes(everybody).verify(forged, b"reveal it all")
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(ClientKey.generate().public_key).verify(forged, b"reveal it all")


def refused(enrol: Callable[[bytes], object], key: bytes) -> None:
    with pytest.raises(InvalidError) as caught:
        enrol(key)
    assert list(caught.value.fields) == ["public_key"]


@pytest.mark.parametrize(
    "keys",
    [LOW_ORDER, NOT_CANONICAL, NO_POINT, [b"", bytes(31), bytes(33), bytes(64)]],
    ids=["low order", "not canonical", "no point", "wrong length"],
)
def test_no_client_is_allowed_with_a_key(house: Daemon, keys: list[bytes]) -> None:
    with house.admin() as admin:
        before = admin.clients()
        for key in keys:
            refused(lambda key: admin.allow_client("weak", key, os.getuid()), key)
        assert admin.clients() == before


def test_a_good_key_is_allowed(house: Daemon) -> None:
    with house.admin() as admin:
        assert admin.allow_client("strong", ClientKey.generate().public_key, os.getuid()).state == "ACTIVE"


def test_no_vault_is_made_for_an_administrator_with_a_low_order_key(daemon: Daemon) -> None:
    daemon.start()
    with daemon.unlocker() as unlocker:
        for bad in (*LOW_ORDER, NOT_CANONICAL[-1], NO_POINT[0]):
            refused(
                lambda key: unlocker.initialize(
                    bytearray(PASSPHRASE), name="admin", public_key=key, uid=os.getuid(), kdf=CHEAP
                ),
                bad,
            )
        assert unlocker.status().state == "UNINITIALIZED"
    daemon.initialize()
    with daemon.admin() as admin:
        assert [client.name for client in admin.clients()] == ["admin"]


# --- reply keys ----------------------------------------------------------------------------------------------------


def low_order_reply_keys() -> list[bytes]:
    """Returns every X25519 public key with which all agree on zero: the same points, and -1, which is on the twist."""
    heights = {(1 + y) * pow(1 - y, -1, P) % P for _, y in low_order_points() if y != 1} | {P - 1}
    heights |= {u + P for u in heights if u + P < 2**255}
    return [encode(u, sign) for u in sorted(heights) for sign in (0, 1)]


def test_with_such_a_reply_key_nothing_could_be_sealed() -> None:
    assert len(low_order_reply_keys()) == 14
    for key in low_order_reply_keys():
        with pytest.raises(ValueError, match="shared key"):
            X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(key))


def test_a_request_with_such_a_reply_key_is_refused_before_it_changes_anything(house: Daemon) -> None:
    admin = Forger(house, house.admin_key)
    method = "/vaultd.v1.ClientService/AllowClient"
    with house.admin() as client, Line(house) as line:
        before = client.clients()
        new = {"name": "weakly", "public_key": ClientKey.generate().public_key, "uid": os.getuid()}
        body = client_service_pb2.AllowClientRequest(client=new).SerializeToString()
        honest = admin.request(method, body)
        for key in low_order_reply_keys():
            assert line.send(method, admin.seal(replace(honest, reply_key=key, nonce=os.urandom(16)))) == REFUSED
        assert client.clients() == before
        assert line.send(method, admin.seal(honest)).code == "OK"

// The bytes of proto/README.md, and nothing else: no input, no output. `check_vectors.mjs` holds them to tests/vectors.
//
// Ed25519 and SHA-256 are Node's own. HPKE is @hpke/core's: putting it together from X25519, HKDF and AES-GCM would be
// cryptography written by hand, which no bot should copy.

import { createHash, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";

export const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

const MAGIC_BYTES = 16;
const ENCAPSULATED_BYTES = 32;
const SPKI = Buffer.from("302a300506032b6570032100", "hex"); // what stands before the 32 bytes in DER, RFC 8410
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

const magic = (text) => Buffer.alloc(MAGIC_BYTES).fill(text, 0, text.length, "ascii");

export const publicKey = (raw) =>
  createPublicKey({ key: Buffer.concat([SPKI, sized(raw, 32, "public key")]), format: "der", type: "spki" });
export const privateKey = (seed) =>
  createPrivateKey({ key: Buffer.concat([PKCS8, sized(seed, 32, "seed")]), format: "der", type: "pkcs8" });
export const rawPublic = (key) => createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI.length);
export const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();

/** SignedRequest.signed. `issuedAt` is a BigInt of nanoseconds; the rest are Buffers, numbers and the method's path. */
export function requestBytes({ vaultId, epoch, keyId, uid, issuedAt, ttlMs, nonce, replyKey, method, body }) {
  const name = Buffer.from(method, "ascii");
  const numbers = Buffer.alloc(20);
  numbers.writeUInt32BE(uid, 0);
  numbers.writeUInt32BE(0, 4); // flags
  numbers.writeBigUInt64BE(issuedAt, 8);
  numbers.writeUInt32BE(ttlMs, 16);
  const nameLength = Buffer.alloc(2);
  nameLength.writeUInt16BE(name.length);
  return Buffer.concat([
    magic("vaultd-req-v1"),
    sized(vaultId, 16, "vault_id"),
    sized(epoch, 16, "epoch"),
    sized(keyId, 32, "key_id"),
    numbers,
    sized(nonce, 16, "nonce"),
    sized(replyKey, 32, "reply_key"),
    nameLength,
    name,
    uint32(body.length),
    body,
  ]);
}

export const signRequest = (signed, key) => sign(null, signed, key);

/** Opens a SignedReply: first its signature by the pinned vault, then the seal. Throws where one of them fails. */
export async function openReply({ replyKey, identity, requestHash, sealed, signature }) {
  const context = Buffer.concat([magic("vaultd-rep-v1"), requestHash]);
  if (!verify(null, Buffer.concat([context, uint32(sealed.length), sealed]), publicKey(identity), signature))
    throw new Error("the reply is not signed by the pinned vault");
  const enc = exact(sealed.subarray(0, ENCAPSULATED_BYTES));
  const recipient = await suite.createRecipientContext({ recipientKey: replyKey, enc, info: exact(context) });
  return Buffer.from(await recipient.open(exact(sealed.subarray(ENCAPSULATED_BYTES))));
}

/** Throws unless the pinned vault vouches for epoch and seal key. */
export function verifySealKey({ identity, vaultId, epoch, sealKey, signature }) {
  const vouched = Buffer.concat([magic("vaultd-seal-v1"), vaultId, epoch, sealKey]);
  if (!verify(null, vouched, publicKey(identity), signature))
    throw new Error("epoch and seal key are not signed by the pinned vault");
}

/** SealedFields.sealed: a serialized CredentialFields that only the keyholder opens, in this one request. */
export async function sealFields({ sealKey, vaultId, epoch, keyId, nonce, plaintext }) {
  const info = exact(Buffer.concat([magic("vaultd-fld-v1"), vaultId, epoch, keyId, nonce]));
  const recipientPublicKey = await suite.kem.importKey("raw", exact(sealKey), true);
  const sender = await suite.createSenderContext({ recipientPublicKey, info });
  return Buffer.concat([Buffer.from(sender.enc), Buffer.from(await sender.seal(exact(plaintext)))]);
}

function uint32(value) {
  const made = Buffer.alloc(4);
  made.writeUInt32BE(value);
  return made;
}

function sized(bytes, length, name) {
  if (bytes.length !== length) throw new RangeError(`${name} has ${bytes.length} bytes, not ${length}`);
  return bytes;
}

// @hpke/core takes an ArrayBuffer, and a Buffer's own may hold its neighbours as well.
function exact(buffer) {
  return buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.length);
}

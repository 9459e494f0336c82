// Holds wire.mjs to the published vectors: node check_vectors.mjs DIRECTORY. Prints one line for each that holds.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as wire from "./wire.mjs";

const directory = process.argv[2];
const vector = (name) => JSON.parse(readFileSync(join(directory, name)));
const hex = (text) => Buffer.from(text, "hex");
const flipped = (bytes) => bytes.map((byte, index) => (index === bytes.length - 1 ? byte ^ 1 : byte));
const raw = (buffer) => new Uint8Array(buffer).buffer;
const x25519 = (seed) => wire.suite.kem.importKey("raw", raw(hex(seed)), false);

const asked = vector("request_v1.json");
const part = Object.fromEntries(asked.layout.map(({ field, hex: value }) => [field, hex(value)]));
const signed = wire.requestBytes({
  vaultId: part.vault_id,
  epoch: part.epoch,
  keyId: wire.sha256(hex(asked.public_key)),
  uid: asked.uid,
  issuedAt: BigInt(asked.issued_at),
  ttlMs: asked.ttl_ms,
  nonce: part.nonce,
  replyKey: part.reply_key,
  method: asked.method,
  body: part.body,
});
assert.equal(signed.toString("hex"), asked.signed);
console.log("request_v1.json signed");

const key = wire.privateKey(hex(asked.private_key));
const signature = wire.signRequest(signed, key);
assert.equal(wire.rawPublic(key).toString("hex"), asked.public_key);
assert.equal(signature.toString("hex"), asked.signature);
assert.equal(wire.sha256(signed, signature).toString("hex"), asked.request_hash);
console.log("request_v1.json signature");

const answered = vector("reply_v1.json");
const reply = {
  replyKey: await x25519(answered.reply_private_key),
  identity: hex(answered.identity),
  requestHash: hex(answered.request_hash),
  sealed: hex(answered.sealed),
  signature: hex(answered.signature),
};
assert.equal((await wire.openReply(reply)).toString("hex"), answered.plaintext);
console.log("reply_v1.json opened");

for (const name of ["identity", "requestHash", "sealed", "signature"])
  await assert.rejects(wire.openReply({ ...reply, [name]: flipped(reply[name]) }), /pinned vault/, name);
await assert.rejects(wire.openReply({ ...reply, replyKey: await x25519(asked.private_key) }));
console.log("reply_v1.json changed, refused");

const vouched = vector("seal_v1.json");
const facts = {
  identity: hex(vouched.identity),
  vaultId: hex(vouched.vault_id),
  epoch: hex(vouched.epoch),
  sealKey: hex(vouched.seal_key),
  signature: hex(vouched.seal_key_signature),
};
wire.verifySealKey(facts);
for (const name of Object.keys(facts))
  assert.throws(() => wire.verifySealKey({ ...facts, [name]: flipped(facts[name]) }), /pinned vault/, name);
console.log("seal_v1.json vouched for");

const open = async (sealed) => {
  const recipientKey = await x25519(vouched.seal_private_key);
  const info = raw(hex(vouched.info));
  const recipient = await wire.suite.createRecipientContext({ recipientKey, enc: raw(sealed.subarray(0, 32)), info });
  return Buffer.from(await recipient.open(raw(sealed.subarray(32)))).toString("hex");
};
const binding = { ...facts, keyId: hex(vouched.key_id), nonce: hex(vouched.nonce) };
assert.equal(await open(hex(vouched.sealed)), vouched.plaintext);
assert.equal(await open(await wire.sealFields({ ...binding, plaintext: hex(vouched.plaintext) })), vouched.plaintext);
console.log("seal_v1.json sealed and opened");

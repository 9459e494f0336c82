// A client of vaultd in Node.js, written after proto/README.md and proto/vaultd/v1/*.proto alone.
//
//   const vault = new Vault();
//   const { fields } = await vault.reveal("main", "read");   // fields.api_key, fields.secret, ...

import { randomBytes, createPrivateKey } from "node:crypto";
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import * as wire from "./wire.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const PROTO = join(HERE, "..", "..", "..", "proto");
const api = loader.loadSync(["vaultd/v1/vault_service.proto", "vaultd/v1/exchange_service.proto", "status.proto"], {
  includeDirs: [PROTO, HERE],
  keepCase: true,
  enums: String,
  longs: String,
  defaults: true,
});

/** An error of the vault: `reason` is a word of errors.proto without its prefix. */
export class VaultError extends Error {
  constructor(reason, message) {
    super(message);
    this.reason = reason;
  }
}

export class Vault {
  #key;
  #channel;
  #facts;

  constructor({ socket = findSocket(), keyFile = findKeyFile(), timeoutMs = 5000 } = {}) {
    this.#key = readKeyFile(keyFile);
    this.timeoutMs = timeoutMs;
    this.#channel = new grpc.Client(`unix:${socket}`, grpc.credentials.createInsecure());
  }

  close() {
    this.#channel.close();
  }

  /** One half of an exchange in plaintext: a RevealCredentialResponse. */
  reveal(exchange, configuration = "read") {
    return this.signedCall("ExchangeService", "RevealCredential", { exchange, configuration });
  }

  /** Stores a new key pair (names of CredentialFields to values), which only the keyholder can open. */
  rotate(exchange, configuration, fields) {
    const message = async (seal) => ({ exchange, configuration: { configuration, sealed: await seal(fields) } });
    return this.signedCall("ExchangeService", "RotateCredential", message);
  }

  /** `message`: the request, or a function that makes it with a `seal` for this one request.
   *
   * Makes a call once more where the vault was locked and unlocked meanwhile: its epoch is then another. */
  async signedCall(service, name, message) {
    const facts = (this.#facts ??= await this.#ask());
    try {
      return await this.#signedOnce(facts, service, name, message);
    } catch (error) {
      this.#facts = undefined;
      if (error.reason !== "REQUEST_REFUSED") throw error;
      const fresh = await this.#ask();
      if (fresh.epoch.equals(facts.epoch)) throw error;
      this.#facts = fresh;
      return this.#signedOnce(fresh, service, name, message);
    }
  }

  async #signedOnce(facts, service, name, message) {
    const rpc = api[`vaultd.v1.${service}`][name];
    const binding = { ...facts, keyId: this.#key.keyId, nonce: randomBytes(16) };
    const seal = (fields) =>
      wire.sealFields({ ...binding, plaintext: api["vaultd.v1.CredentialFields"].serialize(fields) });
    const request = typeof message === "function" ? await message(seal) : message;
    const replyKey = await wire.suite.kem.generateKeyPair();
    const signed = wire.requestBytes({
      ...binding,
      uid: process.geteuid(),
      issuedAt: bootTimeNs(),
      ttlMs: Math.min(this.timeoutMs, 30_000),
      replyKey: Buffer.from(await wire.suite.kem.serializePublicKey(replyKey.publicKey)),
      method: rpc.path,
      body: api[`vaultd.v1.${name}Request`].serialize(request),
    });
    const signature = wire.signRequest(signed, this.#key.privateKey);
    const reply = await this.#send(rpc, { signed, signature });
    const plaintext = await wire.openReply({
      replyKey: replyKey.privateKey,
      identity: this.#key.identity,
      requestHash: wire.sha256(signed, signature),
      sealed: reply.sealed,
      signature: reply.signature,
    });
    return api[`vaultd.v1.${name}Response`].deserialize(plaintext);
  }

  /** Asks the vault who it is, and believes what the pinned identity has signed. */
  async #ask() {
    const { vault } = await this.#send(api["vaultd.v1.VaultService"].GetVault, {});
    if (vault.state === "STATE_UNINITIALIZED") throw new VaultError("VAULT_UNINITIALIZED", "the vault has no keys yet");
    if (!vault.vault_id.equals(this.#key.vaultId) || !vault.identity.equals(this.#key.identity))
      throw new VaultError("UNTRUSTED_VAULT", "this is not the vault that the key file pins");
    if (vault.state !== "STATE_UNLOCKED") throw new VaultError("VAULT_LOCKED", "the vault is locked");
    const facts = { vaultId: vault.vault_id, epoch: vault.epoch, sealKey: vault.seal_key };
    wire.verifySealKey({ ...facts, identity: this.#key.identity, signature: vault.seal_key_signature });
    return facts;
  }

  #send(rpc, message) {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + this.timeoutMs;
      const done = (error, answer) => (error ? reject(told(error)) : resolve(answer));
      this.#channel.makeUnaryRequest(
        rpc.path, rpc.requestSerialize, rpc.responseDeserialize, message, new grpc.Metadata(), { deadline }, done,
      );
    });
  }
}

/** CLOCK_BOOTTIME in nanoseconds. Node has no clock_gettime; /proc/uptime is that clock, in hundredths of a second. */
export function bootTimeNs() {
  const [seconds, hundredths] = readFileSync("/proc/uptime", "ascii").split(" ", 1)[0].split(".");
  return BigInt(seconds) * 1_000_000_000n + BigInt(hundredths) * 10_000_000n;
}

/** What a failed call stands for: the ErrorInfo of domain `vaultd` in its trailer, else gRPC's own code. */
function told(error) {
  for (const trailer of error.metadata?.get("grpc-status-details-bin") ?? []) {
    const status = api["google.rpc.Status"].deserialize(trailer);
    for (const { type_url, value } of status.details) {
      if (type_url !== "type.googleapis.com/google.rpc.ErrorInfo") continue;
      const info = api["google.rpc.ErrorInfo"].deserialize(value);
      if (info.domain === "vaultd") return new VaultError(info.reason, status.message);
    }
  }
  return new VaultError(error.code === grpc.status.UNAVAILABLE ? "NOT_RUNNING" : grpc.status[error.code], "no answer");
}

/** Reads the key file that `vaultctl client keygen` wrote. Refuses one that others can read. */
export function readKeyFile(path) {
  const descriptor = openSync(path, constants.O_RDONLY);
  let text;
  try {
    const facts = fstatSync(descriptor);
    if (facts.uid !== process.geteuid() || (facts.mode & 0o077) !== 0)
      throw new VaultError("KEY_FILE", `${path} must be yours and have mode 0600`);
    text = readFileSync(descriptor, "ascii");
  } finally {
    closeSync(descriptor);
  }
  const privateKey = createPrivateKey(text.slice(text.indexOf("-----BEGIN")));
  const publicKey = wire.rawPublic(privateKey);
  for (const [, named] of text.matchAll(/^# public key: (\S+)$/gm))
    if (named !== `vaultd-client:${publicKey.toString("base64url")}`)
      throw new VaultError("KEY_FILE", `${path} names another public key than it holds`);
  const [pin, second] = text.matchAll(/^# vault: ([0-9a-f]{32}) ([0-9a-f]{64})$/gm);
  if (!pin || second) throw new VaultError("KEY_FILE", `${path} must pin one vault: vaultctl client pin`);
  return {
    privateKey,
    keyId: wire.sha256(publicKey),
    vaultId: Buffer.from(pin[1], "hex"),
    identity: Buffer.from(pin[2], "hex"),
  };
}

function findSocket() {
  const { VAULTD_SOCKET, VAULTD_RUNTIME_DIR, XDG_RUNTIME_DIR } = process.env;
  if (VAULTD_SOCKET) return VAULTD_SOCKET;
  if (VAULTD_RUNTIME_DIR) return join(VAULTD_RUNTIME_DIR, "vaultd.sock");
  const places = [XDG_RUNTIME_DIR && join(XDG_RUNTIME_DIR, "vaultd"), "/run/vaultd"].filter(Boolean);
  const sockets = places.map((place) => join(place, "vaultd.sock"));
  return sockets.find((path) => existsSync(path)) ?? sockets[0];
}

function findKeyFile() {
  const { VAULTD_KEY, XDG_CONFIG_HOME } = process.env;
  return VAULTD_KEY || join(XDG_CONFIG_HOME || join(homedir(), ".config"), "vaultd", "client.key");
}

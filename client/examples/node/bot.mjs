// A bot: gets the read key of a Binance account from vaultd, signs a request with it and prints the balances.
//
//   npm ci && node bot.mjs EXCHANGE [ADDRESS OF THE VENUE]

import { createHmac } from "node:crypto";
import { Vault, VaultError } from "./vaultd.mjs";

const [exchange, venue = "https://api.binance.com"] = process.argv.slice(2);

async function balances({ api_key, secret }) {
  const query = `timestamp=${Date.now()}`;
  const signature = createHmac("sha256", secret).update(query).digest("hex");
  const answer = await fetch(`${venue}/api/v3/account?${query}&signature=${signature}`, {
    headers: { "X-MBX-APIKEY": api_key },
  });
  const document = await answer.json();
  if (!answer.ok) throw new Error(`the venue says ${document.code}: ${document.msg}`);
  return document.balances;
}

const vault = new Vault();
try {
  const credential = await vault.reveal(exchange, "read");
  for (const { asset, free, locked } of await balances(credential.fields)) console.log(asset, free, locked);
} catch (error) {
  console.error(error instanceof VaultError ? `${error.reason}: ${error.message}` : error.message);
  process.exitCode = 1;
} finally {
  vault.close();
}

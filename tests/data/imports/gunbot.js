module.exports = {
  "pairs": {},
  "exchanges": {
    "kraken": {
      "masterkey": "gunbot-master-key-canary-0001",
      "mastersecret": "gunbotmastersecretcanary0001AAAA",
      "key": "gunbot-trading-key-canary-0001",
      "secret": "gunbottradingsecretcanary0001AAA",
      "DELAY": 4
    },
    "bittrex": {
      "masterkey": "gunbot-key-canary-0002",
      "mastersecret": "gunbot-secret-canary-0002",
      "key": "gunbot-key-canary-0002",
      "secret": "gunbot-secret-canary-0002"
    },
    "huobi": {"masterkey": "", "mastersecret": "", "key": "gunbot-key-canary-0003", "secret": "gunbot-secret-canary-0003"}
  },
  "bot": {"VERBOSE": false}
};

// Asks @sigstore/verify about checkpoints and inclusion proofs: one JSON object in, one verdict for each case out.
//
// Each case has a signed note, the key that is trusted (SPKI, DER) with its name and id, an entry and its proof; all
// bytes are in base64. A verdict is the empty text, or the code of the refusal. Whatever else is thrown ends this.
'use strict';
const { createPublicKey } = require('node:crypto');
const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');

const { folder, cases } = JSON.parse(readFileSync(0, 'utf8'));
const installed = createRequire(`${folder}/index.js`);
const main = installed.resolve('@sigstore/verify').replace(/index\.js$/, '');
const { verifyCheckpoint } = installed(`${main}tlog/checkpoint.js`);
const { verifyMerkleInclusion } = installed(`${main}tlog/merkle.js`);
const { VerificationError } = installed(`${main}error.js`);

function verdict({ note, key, entry, index, path }) {
  const log = {
    logID: Buffer.from(key.id, 'base64'),
    baseURL: key.name,
    publicKey: createPublicKey({ key: Buffer.from(key.spki, 'base64'), format: 'der', type: 'spki' }),
  };
  const logged = {
    canonicalizedBody: Buffer.from(entry, 'base64'),
    inclusionProof: {
      logIndex: String(index),
      hashes: path.map((hash) => Buffer.from(hash, 'base64')),
      checkpoint: { envelope: note },
    },
  };
  try {
    verifyMerkleInclusion(logged, verifyCheckpoint(logged, [log]));
    return '';
  } catch (error) {
    if (error instanceof VerificationError) return error.code;
    throw error;
  }
}

process.stdout.write(JSON.stringify(cases.map(verdict)));

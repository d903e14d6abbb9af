// Remakes test/vectors/ed25519/edge-cases.json: signatures at the edges of what Ed25519 implementations accept,
// with the answer of the libsodium of this machine. Run from the root of the repository, with libsodium installed:
//   node test/generate/ed25519-vectors.mjs >test/vectors/ed25519/edge-cases.json
import { createHash } from 'node:crypto';
import { Point } from '@noble/ed25519';
import koffi from 'koffi';

const sodium = koffi.load('libsodium.so.23');
const verify = sodium.func('int crypto_sign_verify_detached(uint8_t *, uint8_t *, uint64_t, uint8_t *)');
const version = sodium.func('const char *sodium_version_string()');
sodium.func('int sodium_init()')();

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const bytes = (value) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse();
const number = (data) => BigInt(`0x${Buffer.from(data).reverse().toString('hex')}`);
const hashOf = (...parts) => createHash('sha512').update(Buffer.concat(parts)).digest();
const challenge = (r, a, message) => number(hashOf(r, a, message)) % L;

// A point of order 8: the torsion part of some point that decodes.
let torsion;
for (let y = 2n; torsion === undefined; y++) {
  try {
    const point = Point.fromBytes(bytes(y))
      .multiply(L - 1n, false)
      .add(Point.fromBytes(bytes(y)));
    if (!point.add(point).add(point.add(point)).is0()) torsion = point;
  } catch {}
}
const smallPoints = [Point.ZERO];
while (smallPoints.length < 8) smallPoints.push(smallPoints.at(-1).add(torsion));
const encodings = new Map();
for (const point of smallPoints) {
  const { x, y } = point.toAffine();
  const signs = x === 0n ? [0n, 1n] : [x & 1n];
  for (const sign of signs)
    for (const form of [y, y + P])
      if (form < 2n ** 255n) encodings.set(bytes(form | (sign << 255n)).toString('hex'), point);
}

const cases = [];
const add = (name, key, r, s, message) => {
  const signature = Buffer.concat([r, bytes(s)]);
  const accepted = verify(signature, message, message.length, key) === 0;
  cases.push({
    name,
    key: key.toString('hex'),
    signature: signature.toString('hex'),
    message: message.toString('hex'),
    accepted,
  });
};
let counter = 0;
const messageFor = (fits) => {
  for (;;) {
    const message = hashOf(Buffer.from(`message ${counter++}`)).subarray(0, 16);
    if (fits(message)) return message;
  }
};
const scalar = (seed) => number(hashOf(Buffer.from(seed))) % L;

const small = [...encodings];
// Small key, small R, S = 0: valid by the equation without the cofactor.
for (const [a, A] of small)
  for (const [r, R] of small.filter((_, i) => i % 3 === cases.length % 3)) {
    const [key, first] = [Buffer.from(a, 'hex'), Buffer.from(r, 'hex')];
    const solvable = [...Array(8).keys()].some((k) => R.add(A.multiply(BigInt(k), false)).is0());
    const message = messageFor((m) => !solvable || R.add(A.multiply(challenge(first, key, m), false)).is0());
    add(`small key, small R, ${solvable ? 'equation holds' : 'only with cofactor'}`, key, first, 0n, message);
  }
const secret = scalar('secret');
const honest = Point.BASE.multiply(secret);
const nonce = scalar('nonce');
// Honest key, R of each small encoding: s = k * secret fits up to R, which the cofactor removes.
for (const [r] of small) {
  const key = Buffer.from(honest.toBytes());
  const first = Buffer.from(r, 'hex');
  const message = messageFor(() => true);
  add('honest key, small R', key, first, (challenge(first, key, message) * secret) % L, message);
}
// Small key, honest R.
for (const [a, A] of small) {
  const key = Buffer.from(a, 'hex');
  const first = Buffer.from(Point.BASE.multiply(nonce).toBytes());
  const message = messageFor((m) => A.multiply(challenge(first, key, m), false).is0());
  add('small key, honest R', key, first, nonce, message);
}
// Keys and R with a part of small order, for every pair of parts, once fitting without the cofactor and once not.
for (let i = 0; i < 8; i++)
  for (let j = 0; j < 8; j++) {
    const A = honest.add(smallPoints[i]);
    const R = Point.BASE.multiply(nonce).add(smallPoints[j]);
    const [key, first] = [Buffer.from(A.toBytes()), Buffer.from(R.toBytes())];
    const residue = (m) =>
      smallPoints[j].add(smallPoints[i].multiply(challenge(first, key, m) % 8n, false)).is0();
    const sign = (m) => (nonce + challenge(first, key, m) * secret) % L;
    if ([...Array(8).keys()].some((k) => (j + i * k) % 8 === 0)) {
      const message = messageFor(residue);
      add('mixed orders, equation holds', key, first, sign(message), message);
    }
    if (i + j > 0) {
      const message = messageFor((m) => !residue(m));
      add('mixed orders, only with cofactor', key, first, sign(message), message);
    }
  }
// S that is not reduced, and what it would be if it were.
for (const times of [0n, 1n, 2n, 7n, 14n]) {
  const key = Buffer.from(honest.toBytes());
  const first = Buffer.from(Point.BASE.multiply(nonce).toBytes());
  const message = messageFor(() => true);
  const s = ((nonce + challenge(first, key, message) * secret) % L) + times * L;
  add(`S plus ${times} times the order`, key, first, s, message);
}
const keyBytes = Buffer.from(honest.toBytes());
for (const [name, s] of [
  ['S is zero', 0n],
  ['S is the order', L],
  ['S is all ones', 2n ** 256n - 1n],
])
  add(name, keyBytes, Buffer.from(Point.BASE.multiply(nonce).toBytes()), s, Buffer.from('message'));
// Keys that are no points, and y at and above p.
for (const [name, key] of [
  ['key is all ones', bytes(2n ** 256n - 1n)],
  ['key is no point', bytes(2n)],
  ['key y is p', bytes(P)],
  ['key y is p + 3', bytes(P + 3n)],
  ['key y is p - 1, sign set', bytes((P - 1n) | (1n << 255n))],
])
  add(name, key, Buffer.from(Point.BASE.multiply(nonce).toBytes()), nonce, Buffer.from('message'));
add('all zero key and signature', Buffer.alloc(32), Buffer.alloc(32), 0n, Buffer.from('message'));

process.stdout.write(
  `{\n"libsodium": ${JSON.stringify(version())},\n"cases": [\n${cases.map((row) => JSON.stringify(row)).join(',\n')}\n]}\n`,
);

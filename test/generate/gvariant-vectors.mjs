/**
 * Makes test/vectors/gvariant: texts and bytes, and what GLib makes of them.
 *
 *   cc -O1 -o ORACLE test/generate/gvariant-oracle.c -l:libglib-2.0.so.0
 *   node test/generate/gvariant-vectors.mjs ORACLE...
 *
 * ORACLE... is the command that runs it, such as `chroot /a/debian/root /oracle`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';

const TEXTS = [
  '0b101',
  '-0B11',
  '0b2',
  'byte 0b100000000',
  "signature 'ma{sv}'",
  '-nan',
  '[nan,-nan]',
  '1',
  '-1',
  '0',
  'uint32 7',
  "'a'",
  '"a"',
  "b'abc'",
  'b"a\'\\n\\001\\377"',
  '[1,2,3]',
  '(1,)',
  '()',
  "(1,'a')",
  "{'a':1,'b':2}",
  "{'a',1}",
  '<1>',
  "<'x'>",
  '<<1>>',
  '@as []',
  '[]',
  '@a{sv} {}',
  '{}',
  "{'k':<uint32 7>,'l':<@as ['x','y']>}",
  'just 1',
  'nothing',
  '@mi nothing',
  '@mmi just nothing',
  '[just 1, nothing]',
  '[1, just 2]',
  '@mmi 3',
  'true',
  'false',
  'boolean true',
  'byte 0x10',
  'int16 -32768',
  'int16 32768',
  'uint16 65535',
  'int64 -9223372036854775808',
  'int64 9223372036854775808',
  'uint64 18446744073709551615',
  'uint64 18446744073709551616',
  'handle 3',
  'double 3',
  '1.5',
  '1e10',
  '-1e-310',
  'inf',
  'nan',
  '-inf',
  '0x1.8p3',
  '1.',
  '5.',
  "objectpath '/a/b'",
  "objectpath 'x'",
  "signature 'a{sv}'",
  "signature '!'",
  "['/a', objectpath '/b']",
  '[1, 2.5]',
  "[1, 'a']",
  '[[1],[]]',
  '[[],[1]]',
  '[[],[]]',
  "[(1,'a'),(2,'b')]",
  "{'a':1,'b':2.0}",
  '{[1]:2}',
  "{1:2,'a':3}",
  "'unterminated",
  "'esc \\u00e9 \\U0001F600 \\x'",
  "'\\u12'",
  "'\\u0000'",
  '-',
  '+',
  '--5',
  '--0',
  '+5',
  '+-5',
  '0x',
  '0x1g',
  '08',
  '1_0',
  'tru',
  'nope',
  'x',
  'T',
  '@',
  '@* 1',
  '@a? []',
  '@zz 1',
  "@(is) (1,'a')",
  '(1 2)',
  '(1)',
  '[1 2]',
  '{1}',
  '{1:2',
  '{1,2,3}',
  '<1',
  '1 2',
  ' 1 ',
  '\t1\n',
  '',
  '[',
  '(',
  '1,',
  "string 'a'",
  "'a' 'b'",
  "@ay b'x'",
  '@ay [1,2,0]',
  '[byte 1, 2]',
  '@ay [97,98,0]',
  '@ay []',
  "b''",
  "b'\\0'",
  "b'a\\0b'",
  '@v <1>',
  "[<1>,<'a'>]",
  "'\x7f\x01'",
  "'é'",
  "'\u200b\u00ad\ue000\u2028'",
  '1e400',
  '1e-400',
  '0.1',
  '123456789012345678',
  '1e17',
  '1e16',
  '12345678901234567.0',
  '1e-4',
  '1e-5',
  '0.00001234',
  '-0.0',
  '4294967296',
  '2147483648',
  'uint32 -1',
  'int32 -2147483648',
  '@mi 1',
  '(just 1,)',
  '[@mi 1, 2]',
  '@m(ii) (1,2)',
  "@ms 'a'",
  "@mms 'a'",
  "@a{ss} {'a':'b'}",
  "@{ss} {'a','b'}",
  "[{'a',1},{'b',2}]",
  "[{'a':1},{}]",
  'Infinity',
  '-infinity',
  '-Inf',
  'double -Inf',
  'double 0x10',
  'double 1.5e',
  'double .',
  "'\\\n'",
  "b'\\\n'",
  "'a\\",
  "b'a\\",
  '@a(i*) []',
  '@r ()',
  '[@as [], @ao []]',
  "[1,2,'c','d']",
  'objectpath "/"',
  'just just 1',
  '[just nothing, nothing]',
  "@amms [just nothing, nothing, 'a']",
  '@()  ()',
  '[(),()]',
  '@m() ()',
  '@m() nothing',
  "(@mi 4,@mi nothing,'a')",
  "{'a':@mi 3}",
  '{true:1}',
  '{<1>:2}',
  '{nothing:1}',
  '{just 1:1}',
];

/** Values whose bytes are changed. */
const VALUES = [
  "(1,'a')",
  "@a{sv} {'k':<uint32 7>,'l':<@as ['x','y']>,'m':<{'a':1.5}>}",
  "[('a',1),('bb',2)]",
  "@aas [['a','b'],[],['c']]",
  "(byte 1,int16 2,'abc',uint64 3,[1,2],'x')",
  "<(<<'a'>>,<[1,2]>)>",
  "@ams [just 'a',nothing]",
  "@(mimsy) (1,'a',2)",
  "@a(say) [('n',b'xyz'),('m',[byte 1])]",
  '(true,false)',
  '@a() [(),()]',
  "@(sas) ('x',['y','z'])",
  "objectpath '/a/b'",
  "signature 'a{sv}'",
  "[objectpath '/a',objectpath '/bb']",
  '@(yt) (1,2)',
  '@a(yt) [(1,2),(3,4)]',
  "@(ts) (1,'x')",
  "@av [<1>,<'abc'>,<@as []>]",
  "@a{ys} {1:'a',2:'b'}",
  "@mms 'a'",
  "@(ayayay) (b'a',b'bb',b'ccc')",
  "@a(uuua(ayay)) [(1,2,3,[(b'a',b'b')])]",
];

const ALPHABET = '[](){}<>,:@ \'b"1-+.e0xinfsa justnothing\\uvmy?*';

let state = 20261121;
const random = (limit) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return Math.floor((state / 4294967296) * limit);
};
const pick = (list) => list[random(list.length)];

function changedText() {
  let text = pick(TEXTS);
  for (let i = random(3); i >= 0; i--) {
    const at = random(text.length + 1);
    const other = pick(TEXTS);
    text = pick([
      () => text.slice(0, at) + pick(ALPHABET) + text.slice(at),
      () => text.slice(0, at) + text.slice(at + 1),
      () => `[${text},${other}]`,
      () => `(${text},${other})`,
      () => `{${text}:${other}}`,
      () => `<${text}>`,
      () => `just ${text}`,
    ])();
  }
  return text;
}

function changedBytes(bytes) {
  let data = Buffer.from(bytes.length === 0 ? [0] : bytes);
  for (let i = random(2); i >= 0; i--) {
    const at = random(data.length);
    const kind = random(6);
    if (kind === 0) data[at] = random(256);
    else if (kind === 1) data[at] ^= 1 << random(8);
    else if (kind === 2 && data.length > 1)
      data = Buffer.concat([data.subarray(0, at), data.subarray(at + 1)]);
    else if (kind === 3)
      data = Buffer.concat([data.subarray(0, at), Buffer.from([random(4)]), data.subarray(at)]);
    else if (kind === 4) data[data.length - 1] = random(data.length + 1);
    else data[at] = 0;
  }
  return data;
}

/** Sends requests, each a letter and its parts; returns for each an error or type, bytes and both texts. */
function ask(requests) {
  const parts = requests.flatMap(([letter, ...rest]) => [
    Buffer.from(letter),
    ...rest.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(part.length);
      return [length, part];
    }),
  ]);
  const [program, ...args] = process.argv.slice(2);
  const { stdout } = spawnSync(program, args, { input: Buffer.concat(parts), maxBuffer: 2 ** 30 });
  let at = 0;
  const part = () => {
    const length = stdout.readUInt32LE(at);
    at += 4 + length;
    return stdout.subarray(at - length, at);
  };
  return requests.map(() => {
    const ok = stdout[at++] === 0x56;
    if (!ok) return { error: part().toString() };
    return {
      type: part().toString(),
      hex: part().toString('hex'),
      plain: part().toString(),
      full: part().toString(),
    };
  });
}

const folder = new URL('../vectors/gvariant/', import.meta.url);
mkdirSync(folder, { recursive: true });
const lines = (rows) => `[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`;

const texts = [...new Set([...TEXTS, ...Array.from({ length: 1200 }, changedText)])];
const parsed = ask(texts.map((text) => ['P', Buffer.from(text)]));
const textRows = texts.map((text, i) => {
  const { error, type, hex, plain, full } = parsed[i];
  return error === undefined ? { text, type, hex, plain, full } : { text, error };
});
// GLib gives no error for a string that is not UTF-8, but no value either.
writeFileSync(
  new URL('text.json', folder),
  lines(textRows.filter(({ error }) => !error?.startsWith('no value'))),
);

const values = ask(
  [
    ...VALUES,
    `'${'x'.repeat(260)}'`,
    `['${'y'.repeat(250)}','z','w']`,
    `('${'q'.repeat(254)}','${'r'.repeat(20)}')`,
  ].map((text) => ['P', Buffer.from(text)]),
);
const bytes = values.map(({ type, hex }) => [type, Buffer.from(hex, 'hex')]);
for (let i = 0; i < 2500; i++) {
  const [type, data] = pick(bytes.slice(0, values.length));
  bytes.push([random(20) === 0 ? pick(values).type : type, changedBytes(data)]);
}
const decoded = ask(bytes.map(([type, data]) => ['D', Buffer.from(type), data]));
writeFileSync(
  new URL('bytes.json', folder),
  lines(bytes.map(([type, data], i) => ({ type, hex: data.toString('hex'), full: decoded[i].full ?? null }))),
);

/** What quickjs.test.ts compiles in place of the boot program: answers the boots of a file on standard output. @module */
import { commandLine, succeed } from '../../initramfs/sys.ts';
import { bootSystem, writeAll } from '../../initramfs/system.ts';
import { type ByteString, byteString, byteStringFrom, bytesOf } from '../../src/core/bytes/byte-string.ts';
import { answerBoot } from './boot-answers.ts';

const STDOUT = 1;
const LIMIT = 64 * 1024 * 1024;

const data = bootSystem.readFile(commandLine[1] as ByteString, LIMIT) as Uint8Array;
for (const line of byteStringFrom(data).trimEnd().split('\n'))
  writeAll(STDOUT, bytesOf(byteString(`${answerBoot(line, bootSystem)}\n`)));
succeed();

/**
 * Reads composefs dump files: composefs-dump(5), and mkcomposefs 1.0.8 where that says less than it does.
 * One line is one inode or hard link; eleven fields separated by single spaces, then xattrs.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { malformed, type SealtreeError } from '../errors.ts';
import { type DirectoryEntry, type Inode, isHardLink, makeInode, type Xattr } from '../fs/file-tree.ts';
import { INLINE_CONTENT_MAX, NAME_MAX, PAYLOAD_MAX } from '../fs/limits.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../fs/mode.ts';
import { setXattr } from '../fs/xattr-account.ts';
import { unescapeField } from './escape.ts';
import {
  cString,
  isKnownType,
  lowerHex,
  parseDecimal,
  parseLenient,
  parseOctal,
  parseXattr,
} from './fields.ts';
import { asSigned, lowWord } from './integer.ts';

export interface ReadDumpOptions {
  /** What mkcomposefs does if CFS_PARSE_STRICT is set: refuse contradictions that it otherwise passes over. */
  readonly strict?: boolean;
}

/** Bytes of the xattr fields of one line. */
const XATTR_FIELDS_MAX = 65535;

/** Distinct ends of lines that are remembered, so that the labels which many files have are parsed once. */
const XATTR_CACHE_MAX = 4096;

const EMPTY = byteString('');
const SPACE = 0x20;
const DASH = 0x2d;
const DOT = 0x2e;
const SLASH = 0x2f;
const U32_MAX = 0xffffffff;
/** A field whose escapes are all in order. */
const ESCAPED = /^(?:[^\\]|\\[\\nrt]|\\x[0-9a-fA-F]{2})*$/;
/** A digest that need not be looked at more closely. */
const DIGEST = /^[0-9a-f]{64}$/;

/**
 * Reads a dump file.
 *
 * @param chunks the text in pieces of any size; large ones that end with a line are read fastest
 * @throws SealtreeError `malformed` in mkcomposefs's words; `detail.line` counts from 1
 */
export function readDump(chunks: Iterable<ByteString>, options: ReadDumpOptions = {}): Inode {
  const reader = new DumpReader(options.strict ?? false);
  let rest = '';
  for (const chunk of chunks) {
    const text = byteString(rest + chunk);
    const end = text.lastIndexOf('\n') + 1;
    rest = text.slice(end);
    reader.lines(text, end);
  }
  if (rest !== '') {
    if (options.strict) throw malformed('Missing trailing newline');
    reader.lines(byteString(`${rest}\n`), rest.length + 1);
  }
  return reader.finish();
}

class DumpReader {
  readonly #strict: boolean;
  #root: Inode | undefined;
  #line = 0;
  /** Directories by their path as lines write it, the root as ''. */
  readonly #directories = new Map<string, Inode>();
  #lastParentPath = '';
  #lastParent: Inode | undefined;
  readonly #links: { link: { linkTo: DirectoryEntry }; target: ByteString | undefined; line: number }[] = [];
  readonly #xattrCache = new Map<string, readonly Xattr[]>();

  // The text that is being read, the offset in it, and where the next special character is at or after that.
  #text = EMPTY;
  #at = 0;
  #end = 0;
  #nextEscape = 0;

  constructor(strict: boolean) {
    this.#strict = strict;
  }

  /** Reads the lines of `text` up to `end`, which is behind a newline. */
  lines(text: ByteString, end: number): void {
    this.#text = text;
    this.#nextEscape = -1;
    let nextNul = -1;
    try {
      for (let at = 0; at < end; at = this.#end + 1) {
        this.#line++;
        this.#at = at;
        this.#end = text.indexOf('\n', at);
        if (nextNul < at) {
          nextNul = text.indexOf('\0', at);
          if (nextNul < 0) nextNul = Number.POSITIVE_INFINITY;
        }
        if (nextNul < this.#end)
          throw malformed(`Invalid embedded NUL character at position ${nextNul - at}`);
        if (this.#nextEscape < at) {
          this.#nextEscape = text.indexOf('\\', at);
          if (this.#nextEscape < 0) this.#nextEscape = Number.POSITIVE_INFINITY;
        }
        if (this.#readPlainLine()) continue;
        this.#at = at;
        this.#readLine(this.#nextEscape < this.#end);
      }
    } catch (error) {
      throw withLine(error, this.#line);
    }
  }

  /** Resolves hard links, the last line first, and returns the root. */
  finish(): Inode {
    const root = this.#root;
    if (root === undefined) throw malformed('No files in dump file');
    for (const { link, target, line } of this.#links.reverse()) {
      if (target === undefined) throw withLine(malformed('No target path for the hardlink'), line);
      const found = lookup(root, target);
      if (found === undefined)
        throw withLine(malformed(`No target at ${displayByteString(target)} for hardlink`), line);
      if (found === link)
        throw withLine(malformed(`Self-referential hardlink ${displayByteString(target)}`), line);
      link.linkTo = found;
    }
    return root;
  }

  /**
   * Reads a line of the kind that nearly all are: a file, symlink or directory with nothing escaped but in its
   * xattrs. No string is made that the tree does not keep.
   *
   * @returns false, with nothing changed, for any other line and for all that are wrong
   */
  #readPlainLine(): boolean {
    const text = this.#text;
    const start = this.#at;
    const end = this.#end;
    const firstEscape = this.#nextEscape;
    const pathEnd = text.indexOf(' ', start);
    if (pathEnd < 0 || pathEnd > end || firstEscape < pathEnd || text.charCodeAt(start) !== SLASH)
      return false;
    let slash = pathEnd - 1;
    while (text.charCodeAt(slash) !== SLASH) slash--;
    const name = text.slice(slash + 1, pathEnd) as ByteString;
    if (name === '' || name.length > NAME_MAX || name === '.' || name === '..' || this.#strict) return false;

    this.#at = pathEnd + 1;
    const size = this.#digits(10, SPACE);
    const mode = this.#digits(8, SPACE);
    const nlink = this.#digits(10, SPACE);
    const uid = this.#digits(10, SPACE);
    const gid = this.#digits(10, SPACE);
    const rdev = this.#digits(10, SPACE);
    const mtimeSec = this.#digits(10, DOT);
    const mtimeNsec = this.#digits(10, SPACE);
    if (size < 0 || mode < 0 || nlink < 0 || uid < 0 || gid < 0) return false;
    if (rdev < 0 || mtimeSec < 0 || mtimeNsec < 0 || this.#at >= end) return false;
    if (mode > U32_MAX || nlink > U32_MAX || uid > U32_MAX || gid > U32_MAX || mtimeNsec > U32_MAX)
      return false;

    let at = this.#at;
    const payloadEnd = text.indexOf(' ', at);
    const contentEnd = text.indexOf(' ', payloadEnd + 1);
    if (payloadEnd < 0 || contentEnd < 0 || contentEnd > end || firstEscape < payloadEnd) return false;
    const payload = this.#slice(at, payloadEnd);
    let content = this.#slice(payloadEnd + 1, contentEnd);
    if (firstEscape < contentEnd && content !== undefined) {
      if (!ESCAPED.test(content)) return false;
      content = unescapeField(content);
    }
    at = contentEnd + 1;
    let digestEnd = text.indexOf(' ', at);
    if (digestEnd < 0 || digestEnd > end) digestEnd = end;
    const digest = this.#slice(at, digestEnd);
    if (digest !== undefined && !DIGEST.test(digest)) return false;

    const type = mode & S_IFMT;
    switch (type) {
      case S_IFREG:
        if (payload !== undefined && payload.length > PAYLOAD_MAX) return false;
        if (content !== undefined && (content === '' || content.length !== size)) return false;
        if (content !== undefined && content.length > INLINE_CONTENT_MAX) return false;
        break;
      case S_IFLNK:
        if (payload === undefined || payload === '' || payload.length > PAYLOAD_MAX) return false;
        if (content !== undefined) return false;
        break;
      case S_IFDIR:
        if (payload !== undefined || content !== undefined) return false;
        break;
      default:
        return false;
    }
    const parent = this.#plainParent(start, slash);
    if (parent === undefined) return false;
    const inode: Inode = {
      mode,
      nlink,
      uid,
      gid,
      rdev: 0,
      size: type === S_IFLNK ? (payload as ByteString).length : size,
      mtimeSec,
      mtimeNsec,
      xattrs: [],
      payload,
      content,
      digest,
      children: type === S_IFDIR ? new Map() : undefined,
    };
    const siblings = parent.size;
    parent.set(name, inode);
    if (parent.size === siblings) throw malformed("Can't add child");
    if (type === S_IFDIR) this.#directories.set(text.slice(start, pathEnd), inode);
    this.#at = digestEnd + 1;
    if (this.#at < end) inode.xattrs = this.#xattrs(firstEscape < end);
    return true;
  }

  /** The entries of the directory whose path ends before `slash`, if it is known. */
  #plainParent(start: number, slash: number): Map<ByteString, DirectoryEntry> | undefined {
    const path = this.#text.slice(start, slash);
    if (this.#lastParent === undefined || path !== this.#lastParentPath) {
      const parent = this.#directories.get(path);
      if (parent === undefined) return undefined;
      this.#lastParentPath = path;
      this.#lastParent = parent;
    }
    return this.#lastParent.children;
  }

  /** Digits and the character behind them; -1 if it is not that, or too long to be exact. */
  #digits(radix: number, behind: number): number {
    const text = this.#text;
    let at = this.#at;
    let value = 0;
    for (;;) {
      const code = text.charCodeAt(at);
      const digit = code - 0x30;
      if (!(digit >= 0 && digit < radix)) {
        const length = at - this.#at;
        this.#at = at + 1;
        return code === behind && length > 0 && length <= 15 ? value : -1;
      }
      value = value * radix + digit;
      at++;
    }
  }

  /** A field of its own; undefined for `-`. */
  #slice(start: number, end: number): ByteString | undefined {
    if (end - start === 1 && this.#text.charCodeAt(start) === DASH) return undefined;
    return this.#text.slice(start, end) as ByteString;
  }

  #readLine(hasEscape: boolean): void {
    const pathField = this.#field();
    const path = hasEscape ? cString(unescapeField(pathField)) : pathField;
    if (path === '') throw malformed('Invalid empty path');
    const sizeField = this.#field();
    let modeField = this.#field();
    const isLink = modeField.startsWith('@');
    if (isLink) modeField = byteString(modeField.slice(1));
    const mode = lowWord(parseOctal(modeField));
    if (!isKnownType(mode)) throw malformed(`Invalid mode ${mode.toString(8)}`);

    if (isLink) {
      const link = { linkTo: undefined as unknown as DirectoryEntry };
      // What the line says beyond path and target does not count, not even if it makes no sense.
      this.#add(path, link, mode);
      if ((mode & S_IFMT) === S_IFDIR) throw malformed("Directories can't be hardlinked");
      for (let skipped = 0; skipped < 5; skipped++) this.#field();
      this.#links.push({ link, target: this.#optional(hasEscape), line: this.#line });
      return;
    }

    const inode = makeInode(mode);
    inode.nlink = 0;
    this.#add(path, inode, mode);
    this.#readInode(inode, sizeField, hasEscape);
  }

  #readInode(inode: Inode, sizeField: ByteString, hasEscape: boolean): void {
    const type = inode.mode & S_IFMT;
    const size = parseDecimal(sizeField);
    inode.size = size;
    inode.nlink = lowWord(parseDecimal(this.#field()));
    const uid = parseDecimal(this.#field());
    inode.uid = lowWord(uid);
    // mkcomposefs looks at the wrong variable here: with any owner but root, the next two may be nonsense.
    const parse = uid === 0 ? parseDecimal : parseLenient;
    inode.gid = lowWord(parse(this.#field()));
    const rdev = parse(this.#field());
    const isDevice = type === S_IFCHR || type === S_IFBLK;
    if (isDevice) inode.rdev = lowWord(rdev);
    this.#readMtime(inode, this.#field());

    const payload = this.#optional(hasEscape);
    const contentField = this.#field();
    let content: ByteString | undefined;
    if (contentField !== '-') {
      content = hasEscape ? unescapeField(contentField) : contentField;
      // Compared as numbers: no content is as long as a size that is a bigint.
      if (content.length !== size) {
        throw malformed(`Invalid content size ${content.length}, must match size ${asSigned(size)}`);
      }
    }
    const digest = this.#optional(hasEscape);
    if (this.#strict && !isDevice && rdev !== 0) throw malformed('Non-zero devnum on non-device');
    if (type === S_IFLNK) {
      if (payload === undefined || payload === '' || payload.length > PAYLOAD_MAX) {
        throw malformed('Invalid symlink');
      }
      inode.payload = payload;
      inode.size = payload.length;
      if (this.#strict) {
        if (payload.length !== size) {
          throw malformed(`Invalid symlink size ${payload.length}, must match size ${asSigned(size)}`);
        }
        if (content) throw malformed('Symlink cannot have content');
      }
    } else {
      if (payload !== undefined && payload.length > PAYLOAD_MAX) throw malformed('Invalid payload');
      inode.payload = payload;
      if (content !== undefined && content.length > INLINE_CONTENT_MAX) {
        throw malformed(`Inline content size ${content.length} exceeds maximum ${INLINE_CONTENT_MAX}`);
      }
      if (content) inode.content = content;
    }
    // mkcomposefs puts whatever its stack held into the image if the digest of an external file is not one.
    if (digest !== undefined) {
      const valid = /^[0-9a-fA-F]{64}/.test(digest);
      if (valid) inode.digest = lowerHex(digest.length === 64 ? digest : byteString(digest.slice(0, 64)));
      else if (type === S_IFREG && size !== 0 && !content)
        throw malformed(`Invalid digest ${displayByteString(digest)}`);
    }
    if (this.#at < this.#end) inode.xattrs = this.#xattrs(hasEscape);
  }

  #readMtime(inode: Inode, field: ByteString): void {
    if (field === '0.0') return;
    const dot = field.indexOf('.');
    inode.mtimeSec = asSigned(parseDecimal(byteString(dot < 0 ? field : field.slice(0, dot))));
    inode.mtimeNsec = lowWord(parseDecimal(dot < 0 ? EMPTY : byteString(field.slice(dot + 1))));
  }

  /** The rest of the line. */
  #xattrs(hasEscape: boolean): readonly Xattr[] {
    if (this.#end - this.#at > XATTR_FIELDS_MAX) throw malformed('Too many xattrs');
    const text = this.#text.slice(this.#at, this.#end);
    const cached = this.#xattrCache.get(text);
    if (cached !== undefined) return cached;
    const xattrs: Xattr[] = [];
    let account: number | undefined = 0;
    while (this.#at < this.#end) {
      account = setXattr(xattrs, parseXattr(this.#field(), hasEscape), account);
      if (account === undefined) throw malformed("Can't set xattr");
    }
    if (this.#xattrCache.size < XATTR_CACHE_MAX) this.#xattrCache.set(text, xattrs);
    return xattrs;
  }

  /** The next field of the line; empty behind its end. */
  #field(): ByteString {
    const start = this.#at;
    const end = this.#end;
    if (start >= end) return EMPTY;
    let space = this.#text.indexOf(' ', start);
    if (space < 0 || space > end) space = end;
    this.#at = space + 1;
    return this.#text.slice(start, space) as ByteString;
  }

  /** The next field; undefined for `-`. */
  #optional(hasEscape: boolean): ByteString | undefined {
    const field = this.#field();
    if (field === '-') return undefined;
    return hasEscape ? cString(unescapeField(field)) : field;
  }

  #add(path: ByteString, entry: DirectoryEntry, mode: number): void {
    if (path === '/') {
      if ((mode & S_IFMT) !== S_IFDIR) throw malformed('Root must be a directory');
      if (this.#root !== undefined) throw malformed("Can't have multiple roots");
      this.#root = entry as Inode;
      this.#directories.set('', this.#root);
      return;
    }
    if (this.#root === undefined) throw malformed('Root node not present');
    const slash = path.lastIndexOf('/');
    const name = byteString(path.slice(slash + 1));
    const parent = this.#parent(this.#root, path, byteString(path.slice(0, Math.max(slash, 0))));
    const children = parent.children as Map<ByteString, DirectoryEntry>;
    if (name === '.' || name === '..') throw malformed(`Invalid . or .. in path: ${displayByteString(path)}`);
    if (name === '' || name.length > NAME_MAX || children.has(name)) throw malformed("Can't add child");
    children.set(name, entry);
  }

  /** The directory `parentPath`, for something that is to stand at `path`. */
  #parent(root: Inode, path: ByteString, parentPath: ByteString): Inode {
    const known = this.#directories.get(parentPath);
    if (known !== undefined) return known;
    const found = lookup(root, parentPath);
    if (found === undefined) throw malformed(`Parent directory missing for ${displayByteString(path)}`);
    if (isHardLink(found) || found.children === undefined) {
      throw malformed(`Parent must be a directory for ${displayByteString(path)}`);
    }
    this.#directories.set(parentPath, found);
    return found;
  }
}

/** What `path` names, slashes collapsing, links not followed. */
function lookup(root: Inode, path: ByteString): DirectoryEntry | undefined {
  let at: DirectoryEntry | undefined = root;
  for (const name of path.split('/')) {
    if (name === '') continue;
    if (at === undefined || isHardLink(at)) return undefined;
    at = at.children?.get(byteString(name));
  }
  return at;
}

function withLine(error: unknown, line: number): unknown {
  const known = error as SealtreeError;
  if (known?.code !== 'malformed' || 'line' in known.detail) return error;
  return malformed(known.message, { ...known.detail, line });
}

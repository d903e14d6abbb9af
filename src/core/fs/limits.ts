/** What a composefs image can hold of one file; the same numbers bound dump files and directory scans. @module */
/** Bytes of one name in a directory. */
export const NAME_MAX = 255;

/** Bytes of a symlink's target or of the path of a backing object. */
export const PAYLOAD_MAX = 4095;

/** Bytes of content that may stand in the image itself. */
export const INLINE_CONTENT_MAX = 5000;

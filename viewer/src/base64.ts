// Bytes that a page holds as text.

/** Decodes base64; a page that is cut short may end inside of a group of four characters. */
export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = base64.trim();
  return Uint8Array.from(atob(text.slice(0, text.length & ~3)), (letter) => letter.charCodeAt(0));
}

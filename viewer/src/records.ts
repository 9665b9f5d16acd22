// The records of a scene file: what it holds, and where. The format: docs/format.md.

const SIGNATURE = [0x89, 0x53, 0x53, 0x50, 0x4c, 0x0d, 0x0a, 0x1a];
const VERSION = 1;
const MAX_PAYLOAD = 2 ** 27;
const MAX_GRID_SIDE = 4096;
const MAX_GAUSSIANS = 2 ** 21;
export const MAX_DEGREE = 8;

/** What a person can be told in one line. */
export class SceneError extends Error {}

export function damaged(what: string): SceneError {
  return new SceneError(`The scene is damaged: ${what}.`);
}

/** Reads numbers and bytes from a payload, from its beginning on. */
export class Fields {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array<ArrayBuffer>) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take(count: number): Uint8Array<ArrayBuffer> {
    if (this.at + count > this.bytes.length) throw damaged("a record is too short");
    return this.bytes.subarray(this.at, (this.at += count));
  }

  private skip(count: number): number {
    this.take(count);
    return this.at - count;
  }

  u8 = () => this.view.getUint8(this.skip(1));
  u16 = () => this.view.getUint16(this.skip(2), true);
  u32 = () => this.view.getUint32(this.skip(4), true);
  f32 = () => this.view.getFloat32(this.skip(4), true);
  f64 = () => this.view.getFloat64(this.skip(8), true);
}

export interface Header {
  /** How frames were brought to the picture: 0 stretched, 1 cropped, 2 padded. */
  fit: number;
  imageHeight: number;
  imageWidth: number;
  rows: number;
  columns: number;
  frameHeight: number;
  frameWidth: number;
  background: [number, number, number];
  /** Frames a second of the input; 0 where it is not known. */
  frameRate: number;
  name: string;
}

export interface KeyFrame {
  number: number;
  shot: number;
  /** Seconds. */
  time: number;
  payload: Uint8Array<ArrayBuffer>;
}

export interface Interval {
  number: number;
  /** Places of its key frames in the list of all; the same one twice for a shot of one key frame. */
  first: number;
  second: number;
  /** Whether its first key frame is the first of a shot. */
  opens: boolean;
  degree: number;
  payload: Uint8Array<ArrayBuffer>;
}

/** All that a scene file holds, attributes still coded. */
export interface SceneFile {
  header: Header;
  keyFrames: KeyFrame[];
  intervals: Interval[];
  /** Whether the writer closed it; else it ends with its last whole record. */
  isComplete: boolean;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

export function readHeader(fields: Fields): Header {
  const version = fields.u16();
  if (version !== VERSION) {
    throw new SceneError(`The scene has version ${version} of the format; this player reads ${VERSION}.`);
  }
  const header: Header = {
    fit: fields.u16(),
    imageHeight: fields.u32(),
    imageWidth: fields.u32(),
    rows: fields.u32(),
    columns: fields.u32(),
    frameHeight: fields.u32(),
    frameWidth: fields.u32(),
    background: [fields.f32(), fields.f32(), fields.f32()],
    frameRate: fields.f64(),
    name: "",
  };
  header.name = new TextDecoder().decode(fields.take(fields.u32()));
  const { rows, columns, imageHeight, imageWidth, frameHeight, frameWidth } = header;
  const sizes = [rows, columns, imageHeight, imageWidth, frameHeight, frameWidth];
  const fits = rows <= MAX_GRID_SIDE && columns <= MAX_GRID_SIDE && rows * columns <= MAX_GAUSSIANS;
  if (sizes.includes(0) || !fits || header.fit > 2) throw damaged("its header is impossible");
  return header;
}

function readKeyFrame(fields: Fields, file: SceneFile, payload: Uint8Array<ArrayBuffer>): KeyFrame {
  const [number, shot, time] = [fields.u32(), fields.u32(), fields.f64()];
  const before = file.keyFrames.at(-1) ?? { shot: -1, time: -Infinity };
  const follows = shot === before.shot || shot === before.shot + 1;
  if (number !== file.keyFrames.length || !follows || !(time > before.time && time < Infinity)) {
    throw damaged(`key frame ${number} does not follow the one before`);
  }
  return { number, shot, time, payload };
}

function readInterval(fields: Fields, file: SceneFile, payload: Uint8Array<ArrayBuffer>): Interval {
  const [number, first, second, degree] = [fields.u32(), fields.u32(), fields.u32(), fields.u32()];
  const { keyFrames, intervals } = file;
  const joins = second === keyFrames.length - 1 && (first === second || first === second - 1);
  if (!joins || first < 0 || number !== intervals.length || degree > MAX_DEGREE) {
    throw damaged(`interval ${number} does not follow the one before`);
  }
  const opens = first === 0 || keyFrames[first - 1].shot !== keyFrames[first].shot;
  const before = number === 0 ? first - Number(opens) : intervals[number - 1].second;
  const isOneShot = keyFrames[first].shot === keyFrames[second].shot;
  if (!isOneShot || before !== first - Number(opens) || (first === second && !opens)) {
    throw damaged(`interval ${number} joins key frames ${first} and ${second}`);
  }
  return { number, first, second, opens, degree, payload };
}

export interface Record {
  type: string;
  payload: Uint8Array<ArrayBuffer>;
  /** Where the next record begins. */
  end: number;
}

/** Reads records from a place on and checks their checksums; one that is not whole ends them. */
export function* readRecords(bytes: Uint8Array<ArrayBuffer>, at: number): Generator<Record> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  while (at + 12 <= bytes.length) {
    const length = view.getUint32(at, true);
    if (length > MAX_PAYLOAD) throw damaged(`the record at byte ${at} has ${length} bytes`);
    const end = at + 8 + length;
    if (end + 4 > bytes.length) return;
    if (crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end, true)) {
      throw damaged(`the checksum of the record at byte ${at} is wrong`);
    }
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    yield { type, payload: bytes.subarray(at + 8, end), end: end + 4 };
    at = end + 4;
  }
}

/** Reads a whole file; what is missing at the end is left out. */
export function readScene(bytes: Uint8Array<ArrayBuffer>): SceneFile {
  if (bytes.length && SIGNATURE.some((byte, i) => i < bytes.length && bytes[i] !== byte)) {
    throw new SceneError("This is no scene file.");
  }
  const file: SceneFile = { header: null!, keyFrames: [], intervals: [], isComplete: false };
  for (const { type, payload, end } of readRecords(bytes, SIGNATURE.length)) {
    const fields = new Fields(payload);
    if ((file.header === null) !== (type === "HEAD")) throw damaged("its header is not where it belongs");
    if (type === "HEAD") file.header = readHeader(fields);
    if (type === "KEYF") file.keyFrames.push(readKeyFrame(fields, file, payload.subarray(16)));
    if (type === "INTV") file.intervals.push(readInterval(fields, file, payload.subarray(16)));
    file.isComplete = type === "INDX" && end === bytes.length;
  }
  if (!file.intervals.length) throw new SceneError("The file is cut short: nothing of the scene is left.");
  return file;
}

/** Returns the interval that shows a time, and the pair time in it. */
export function locate(file: SceneFile, seconds: number): { number: number; time: number } {
  const { keyFrames, intervals } = file;
  let [number, high] = [0, intervals.length - 1];
  while (number < high) {
    const middle = (number + high) >> 1;
    if (keyFrames[intervals[middle].second].time < seconds) number = middle + 1;
    else high = middle;
  }
  // Between two shots the last key frame of the first one is shown.
  if (number > 0 && seconds < keyFrames[intervals[number].first].time) number -= 1;
  const { first, second } = intervals[number];
  if (first === second) return { number, time: 0 };
  const [start, end] = [keyFrames[first].time, keyFrames[second].time];
  return { number, time: Math.min(Math.max((seconds - start) / (end - start), 0), 1) };
}

// Attributes of Gaussians, decoded from the blocks of a scene file.

import { damaged, Fields, MAX_DEGREE, SceneError, type Header, type Interval, type KeyFrame } from "./records";
import { shearAlongSurfaces } from "./surfaces";

const MAX_VALUE = 1e4;
const MOTION_KIND = 16;
const { fround } = Math;

/** Gaussians of a key frame at its own time, one after the other. */
export interface StaticGaussians {
  /** x, inverse depth, z, opacity. */
  places: Float32Array;
  /** xx, xy, xz, yy, yz, zz; the axis y is the ray. */
  covariances: Float32Array;
  /** r, g, b. */
  colors: Float32Array;
}

/** Towards one of the two neighbouring key frames. */
export interface Dynamics {
  degree: number;
  /** Slope and half-life. */
  windows: Float32Array;
  /** x, inverse depth, z of each coefficient. */
  motion: Float32Array;
}

let canvas: OffscreenCanvasRenderingContext2D | null = null;

/** Decodes one lossless image; its size is checked before. */
async function decodeImage(bytes: Uint8Array<ArrayBuffer>, header: Header): Promise<ImageBitmap> {
  const text = String.fromCharCode(...bytes.subarray(0, 16));
  const isLossless = text.startsWith("RIFF") && text.endsWith("WEBPVP8L") && bytes.length > 25;
  const bits = isLossless ? bytes[21] | (bytes[22] << 8) | (bytes[23] << 16) | (bytes[24] << 24) : 0;
  const rest = bits >>> 28; // alpha and a version: none
  const [width, height] = [(bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1];
  if (!isLossless || rest || width !== header.columns || height !== header.rows) {
    throw damaged("an image is not as it should be");
  }
  try {
    return await createImageBitmap(new Blob([bytes], { type: "image/webp" }), {
      premultiplyAlpha: "none",
      colorSpaceConversion: "none",
    });
  } catch {
    throw damaged("an image cannot be decoded");
  }
}

function canvasOf(width: number, height: number): OffscreenCanvasRenderingContext2D {
  if (canvas?.canvas.width !== width || canvas.canvas.height !== height) {
    const settings = { willReadFrequently: true, colorSpace: "srgb" } as const;
    canvas = new OffscreenCanvas(width, height).getContext("2d", settings)!;
    canvas.globalCompositeOperation = "copy";
  }
  return canvas;
}

function pixelsOf(image: ImageBitmap): Uint8ClampedArray {
  const { width, height } = image;
  const context = canvasOf(width, height);
  context.drawImage(image, 0, 0);
  image.close();
  return context.getImageData(0, 0, width, height).data;
}

/** Some browsers answer with altered pixels, so that pages cannot recognise a device by them. */
export function checkPixels({ columns, rows }: Header): void {
  const context = canvasOf(columns, rows);
  const image = context.createImageData(columns, rows);
  image.data.forEach((_, i) => (image.data[i] = i % 4 === 3 ? 255 : (i * 2654435761) >>> 24));
  context.putImageData(image, 0, 0);
  const seen = context.getImageData(0, 0, columns, rows).data;
  if (image.data.some((value, i) => value !== seen[i])) {
    throw new SceneError("This browser alters image data against fingerprinting; allow this page to read it.");
  }
}

type Groups = Map<number, Float32Array[]>;

/** Reads a block: the values of each kind's channels. */
async function readBlock(fields: Fields, header: Header): Promise<Groups> {
  const count = header.rows * header.columns;
  const coded = new Map<number, { ranges: [number, number][]; files: Uint8Array<ArrayBuffer>[] }>();
  for (let left = fields.u8(); left > 0; left--) {
    const [kind, channels, images] = [fields.u8(), fields.u8(), fields.u8()];
    if (channels < 1 || channels > 3 || images > 2 || coded.has(kind)) throw damaged(`group ${kind} is impossible`);
    const ranges = Array.from({ length: channels }, (): [number, number] => [fields.f32(), fields.f32()]);
    const files = Array.from({ length: images }, () => fields.take(fields.u32()));
    const isKnown = (kind >= 1 && kind <= 8) || (kind >= 15 && kind < MOTION_KIND + MAX_DEGREE);
    if (isKnown) coded.set(kind, { ranges, files });
  }
  const decode = async ({ files }: { files: Uint8Array<ArrayBuffer>[] }) =>
    Promise.all(files.map((bytes) => decodeImage(bytes, header)));
  const images = await Promise.all([...coded.values()].map(decode));
  const groups: Groups = new Map();
  for (const [index, [kind, { ranges }]] of [...coded].entries()) {
    const planes = images[index].map(pixelsOf);
    const channels = ranges.map(([low, step], channel) => {
      const values = new Float32Array(count);
      for (let i = 0; i < count; i++) {
        const at = 4 * i + channel;
        const level = planes.length ? planes[0][at] + (planes.length > 1 ? 256 * planes[1][at] : 0) : 0;
        values[i] = low + fround(level * step);
        if (!(Math.abs(values[i]) <= MAX_VALUE)) throw damaged(`group ${kind} has impossible values`);
      }
      return values;
    });
    groups.set(kind, channels);
  }
  return groups;
}

function channelsOf(groups: Groups, kind: number, count: number): Float32Array[] {
  const channels = groups.get(kind);
  if (channels?.length !== count) throw damaged(`group ${kind} is missing`);
  return channels;
}

const clamped = (value: number) => Math.min(Math.max(value, 0), 1);

/** Writes `R S Sᵀ Rᵀ` of a quaternion (w, x, y, z), used as it is, and three scales. */
function writeCovariance(out: Float32Array, at: number, q: number[], s: number[]): void {
  const [w, x, y, z] = q;
  const r = [
    1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
    2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
    2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
  ];
  for (let row = 0, entry = at; row < 3; row++) {
    for (let column = row; column < 3; column++, entry++) {
      let sum = 0;
      for (let k = 0; k < 3; k++) sum += r[3 * row + k] * r[3 * column + k] * s[k] * s[k];
      out[entry] = sum;
    }
  }
}

export async function readKeyFrame(frame: KeyFrame, header: Header): Promise<StaticGaussians> {
  const groups = await readBlock(new Fields(frame.payload), header);
  const { rows, columns } = header;
  const count = rows * columns;
  const [red, green, blue] = channelsOf(groups, 1, 3);
  const [x, z] = channelsOf(groups, 2, 2);
  const [d] = channelsOf(groups, 3, 1);
  const [p, q, opacity] = channelsOf(groups, 4, 3);
  const middle = groups.has(5) ? channelsOf(groups, 5, 1)[0] : null;
  const angle = groups.has(6) ? channelsOf(groups, 6, 1)[0] : null;
  const [qx, qy, qz] = groups.has(7) ? channelsOf(groups, 7, 3) : [];
  const qw = groups.has(7) ? channelsOf(groups, 8, 1)[0] : null;
  const scale = (root: number) => fround(fround(root * root) * fround(root * root));
  const places = new Float32Array(4 * count);
  const covariances = new Float32Array(6 * count);
  const colors = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) {
    const [row, column] = [Math.floor(i / columns), i % columns];
    places[4 * i] = fround((2 * column + 1) / columns - 1) + x[i];
    places[4 * i + 1] = d[i];
    places[4 * i + 2] = fround(1 - (2 * row + 1) / rows) + z[i];
    places[4 * i + 3] = clamped(opacity[i]);
    const [sx, sz] = [scale(p[i]), scale(q[i])];
    const sy = middle ? scale(middle[i]) : fround((sx + sz) * 0.5);
    let quat = [1, 0, 0, 0];
    if (qw) quat = [qw[i], qx[i], qy[i], qz[i]];
    else if (angle) quat = [Math.cos(angle[i] / 2), 0, Math.sin(angle[i] / 2), 0];
    writeCovariance(covariances, 6 * i, quat, [sx, sy, sz]);
    colors[3 * i] = clamped(red[i]);
    colors[3 * i + 1] = clamped(green[i]);
    colors[3 * i + 2] = clamped(blue[i]);
  }
  shearAlongSurfaces(covariances, places, header);
  return { places, covariances, colors };
}

async function readDynamics(fields: Fields, degree: number, header: Header): Promise<Dynamics> {
  const groups = await readBlock(fields, header);
  const count = header.rows * header.columns;
  const [slope, halfLife] = channelsOf(groups, 15, 2);
  const windows = new Float32Array(2 * count);
  const motion = new Float32Array(3 * degree * count);
  for (let i = 0; i < count; i++) {
    windows[2 * i] = slope[i] * slope[i];
    windows[2 * i + 1] = clamped(halfLife[i]);
  }
  for (let j = 0; j < degree; j++) {
    const channels = channelsOf(groups, MOTION_KIND + j, 3);
    for (let i = 0; i < count; i++) {
      for (let axis = 0; axis < 3; axis++) motion[3 * (degree * i + j) + axis] = channels[axis][i];
    }
  }
  return { degree, windows, motion };
}

/** Reads the forward part of an interval and its backward part; none of a shot of one key frame. */
export async function readParts(interval: Interval, header: Header): Promise<Dynamics[]> {
  if (interval.first === interval.second) return [];
  const fields = new Fields(interval.payload);
  const forward = await readDynamics(fields, interval.degree, header);
  return [forward, await readDynamics(fields, interval.degree, header)];
}

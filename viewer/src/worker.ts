// Decodes the scene and sorts it for each picture, away from the page.

import { checkPixels } from "./attributes";
import { bytesOf } from "./base64";
import { GrowingScene, type Limit } from "./growing";
import { locate, readScene, type Header, type SceneFile } from "./records";
import { SceneDecoder, type IntervalScene } from "./scene";
import { depthOf, sortByDepth, type DepthRow } from "./sort";

export interface OpenRequest {
  kind: "open";
  /** The scene file in base64, or a part of it. */
  base64: string;
}

/** Records that follow those before; the first ones begin a scene, of which so much is kept. */
export interface AppendRequest {
  kind: "append";
  bytes: Uint8Array<ArrayBuffer>;
  limit: Limit;
}

export interface FrameRequest {
  kind: "frame";
  seconds: number;
  row: DepthRow;
  /** Interval whose texels the page has, and a buffer to write the order into. */
  known: number;
  order: Uint32Array<ArrayBuffer>;
}

export interface Opened {
  kind: "opened";
  header: Header;
  /** Times of key frames, seconds. */
  keyTimes: number[];
  /** First and last time, seconds. */
  window: [number, number];
  isComplete: boolean;
  /** Median depth at the beginning, which cameras turn about. */
  focus: number;
}

/** The scene has grown. */
export interface Grown {
  kind: "grown";
  keyTimes: number[];
  window: [number, number];
}

export type SceneForShader = Omit<IntervalScene, "positions" | "motion">;

export interface Frame {
  kind: "frame";
  seconds: number;
  /** Pair time. */
  time: number;
  count: number;
  order: Uint32Array<ArrayBuffer>;
  /** Where the page does not have it yet. */
  scene: SceneForShader | null;
}

export interface Failure {
  kind: "failure";
  message: string;
}

const page = self as unknown as {
  postMessage(message: Opened | Grown | Frame | Failure, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<OpenRequest | AppendRequest | FrameRequest>) => void) | null;
};

let decoder: SceneDecoder | null = null;
let growing: GrowingScene | null = null;
let scene: IntervalScene | null = null;

function extentOf({ keyFrames, intervals }: SceneFile): { keyTimes: number[]; window: [number, number] } {
  const [first, second] = [intervals[0].first, intervals.at(-1)!.second];
  return {
    keyTimes: keyFrames.slice(first, second + 1).map((frame) => frame.time),
    window: [keyFrames[first].time, keyFrames[second].time],
  };
}

async function open(file: SceneFile): Promise<Opened> {
  const { header, keyFrames, intervals } = file;
  checkPixels(header);
  decoder = new SceneDecoder(file);
  const { places } = await decoder.frame(keyFrames[intervals[0].first]);
  const inverse = places.filter((value, i) => i % 4 === 1 && value >= 0 && value <= 1).sort();
  return {
    kind: "opened",
    header,
    ...extentOf(file),
    isComplete: file.isComplete,
    focus: inverse.length ? depthOf(inverse[inverse.length >> 1]) : 1,
  };
}

/** Takes records; those of a live scene are decoded before more are asked for. */
async function append({ bytes, limit }: AppendRequest): Promise<Opened | Grown> {
  growing ??= new GrowingScene(limit);
  growing.append(bytes);
  if (!decoder) return open(growing);
  if (limit.seconds < Infinity) await decoder.prefetch(growing.intervals.length - 1);
  return { kind: "grown", ...extentOf(growing) };
}

async function frame(request: FrameRequest): Promise<void> {
  const { number: place, time } = locate(decoder!.file, request.seconds);
  const { number } = decoder!.file.intervals[place];
  let fresh: SceneForShader | null = null;
  if (scene?.number !== number || request.known !== number) {
    const { positions, motion, ...rest } = await decoder!.read(place);
    fresh = rest;
    scene = { ...rest, positions, motion, texels: new Float32Array(0) };
  }
  const count = sortByDepth(scene!, time, request.row, request.order);
  const { seconds, order } = request;
  const transfer = [order.buffer, ...(fresh ? [fresh.texels.buffer] : [])];
  page.postMessage({ kind: "frame", seconds, time, count, order, scene: fresh }, transfer);
  // A damaged record ahead is told when its time has come.
  if (fresh) decoder!.prefetch(place + 1).catch(() => {});
}

page.onmessage = async ({ data }) => {
  try {
    if (data.kind === "open") page.postMessage(await open(readScene(bytesOf(data.base64))));
    else if (data.kind === "append") page.postMessage(await append(data));
    else await frame(data);
  } catch (error) {
    page.postMessage({ kind: "failure", message: (error as Error).message });
  }
};

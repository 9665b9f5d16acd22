// The Gaussians of one interval, as the sorter and the vertex shader take them.

import { readKeyFrame, readParts, type Dynamics, type StaticGaussians } from "./attributes";
import type { Interval, KeyFrame, SceneFile } from "./records";

/** Floats of a Gaussian before its motion: four texels of four. */
const FIXED = 16;
/** Decoded records that are kept, of each kind. */
const KEPT = 4;

export interface IntervalScene {
  number: number;
  /** Gaussians of a key frame. */
  gridSize: number;
  /** All: first key frame, second one, and those that fade out at the beginning. */
  count: number;
  degree: number;
  /** Seconds from the first key frame to the second; 0 of a shot of one key frame. */
  duration: number;
  /** x, inverse depth, z of each. */
  positions: Float32Array;
  /** Three of each coefficient of each. */
  motion: Float32Array;
  /**
   * For the shader, texels of four a Gaussian: (x, d, z, opacity), (xx, xy, xz, yy),
   * (yz, zz, slope, half-life), (r, g, b, -), then one for each motion coefficient.
   */
  texels: Float32Array;
}

export const logistic = (v: number) => 1 / (1 + Math.exp(-v));

/** Decodes intervals on demand and keeps the newest records that it decoded. */
export class SceneDecoder {
  private readonly frames = new Map<KeyFrame, Promise<StaticGaussians>>();
  private readonly parts = new Map<Interval, Promise<Dynamics[]>>();

  constructor(readonly file: SceneFile) {}

  frame(frame: KeyFrame): Promise<StaticGaussians> {
    return recall(this.frames, frame, () => readKeyFrame(frame, this.file.header));
  }

  private partsOf(interval: Interval): Promise<Dynamics[]> {
    return recall(this.parts, interval, () => readParts(interval, this.file.header));
  }

  /** Decodes an interval ahead of its time. */
  async prefetch(place: number): Promise<void> {
    const interval = this.file.intervals[place];
    if (interval) await Promise.all([this.frame(this.file.keyFrames[interval.second]), this.partsOf(interval)]);
  }

  async read(place: number): Promise<IntervalScene> {
    const { header, intervals, keyFrames } = this.file;
    const interval = intervals[place];
    const { number, degree, opens } = interval;
    const [first, second] = [keyFrames[interval.first], keyFrames[interval.second]];
    const before = opens ? null : intervals[place - 1];
    const frameBefore = before && keyFrames[before.first];
    // From here on places may change: of a live scene the oldest key frames are dropped.
    const [dynamics, dynamicsBefore] = await Promise.all([this.partsOf(interval), before ? this.partsOf(before) : []]);
    const frames = await Promise.all([this.frame(first), dynamics.length ? this.frame(second) : null]);
    const ended = frameBefore && (await this.frame(frameBefore));
    const gridSize = header.rows * header.columns;
    const count = gridSize * (1 + Number(dynamics.length > 0) + Number(!opens));
    const scene: IntervalScene = {
      number,
      gridSize,
      count,
      degree,
      duration: second.time - first.time,
      positions: new Float32Array(3 * count),
      motion: new Float32Array(3 * degree * count),
      texels: new Float32Array(count * (FIXED + 4 * degree)),
    };
    fill(scene, 0, frames[0], dynamics[0]);
    if (frames[1]) fill(scene, gridSize, frames[1], dynamics[1]);
    if (ended) fill(scene, 2 * gridSize, stoppedAtEnd(ended, dynamicsBefore[0]));
    return scene;
  }
}

function recall<K, T>(kept: Map<K, Promise<T>>, key: K, make: () => Promise<T>): Promise<T> {
  const value = kept.get(key) ?? make();
  kept.delete(key);
  kept.set(key, value);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value!);
  return value;
}

/** Returns Gaussians as they are one interval after their key frame. */
function stoppedAtEnd(gaussians: StaticGaussians, dynamics: Dynamics): StaticGaussians {
  const { degree, windows, motion } = dynamics;
  const places = gaussians.places.slice();
  for (let i = 0; i < places.length / 4; i++) {
    for (let j = 0; j < degree; j++) {
      for (let axis = 0; axis < 3; axis++) places[4 * i + axis] += motion[3 * (degree * i + j) + axis];
    }
    const [slope, halfLife] = [windows[2 * i], windows[2 * i + 1]];
    places[4 * i + 3] *= logistic(-slope * (1 - halfLife)) / logistic(slope * halfLife);
  }
  return { ...gaussians, places };
}

function fill(scene: IntervalScene, offset: number, gaussians: StaticGaussians, dynamics?: Dynamics): void {
  const { texels, positions, motion, degree } = scene;
  const { places, covariances, colors } = gaussians;
  const stride = FIXED + 4 * degree;
  for (let i = 0; i < scene.gridSize; i++) {
    const at = (offset + i) * stride;
    for (let k = 0; k < 4; k++) texels[at + k] = places[4 * i + k];
    for (let k = 0; k < 6; k++) texels[at + 4 + k] = covariances[6 * i + k];
    for (let k = 0; k < 3; k++) {
      texels[at + 12 + k] = colors[3 * i + k];
      positions[3 * (offset + i) + k] = places[4 * i + k];
    }
    if (!dynamics) continue;
    texels[at + 10] = dynamics.windows[2 * i];
    texels[at + 11] = dynamics.windows[2 * i + 1];
    for (let j = 0; j < degree; j++) {
      for (let axis = 0; axis < 3; axis++) {
        const value = dynamics.motion[3 * (degree * i + j) + axis];
        texels[at + FIXED + 4 * j + axis] = value;
        motion[3 * (degree * (offset + i) + j) + axis] = value;
      }
    }
  }
}

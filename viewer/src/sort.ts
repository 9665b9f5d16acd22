// Which Gaussians are there at a time, from far to near: a counting sort of 16 bits.

import type { IntervalScene } from "./scene";

const BINS = 1 << 16;
const starts = new Uint32Array(BINS + 1);
let keys = new Float32Array(0);

/** Inverse depths from the farthest to the nearest, of which a normalised inverse depth is a share. */
export const INVERSE_DEPTHS = 9.8;

/** Depth of a normalised inverse depth, as everywhere in the project. */
export const depthOf = (inverseDepth: number) => 1 / (inverseDepth * INVERSE_DEPTHS + 0.2 + 1e-6);

/** Share of an interval within which what it no longer holds fades out. */
export const CROSSFADE = 0.05;

/**
 * A row of a view matrix over the lifted position (x Z, -z Z, Z, 1), which gives the depth in front
 * of a camera; null for the orthographic view.
 */
export type DepthRow = [number, number, number, number] | null;

/** Nearest depth that a camera shows. */
export const NEAR = 0.05;

/**
 * Writes the numbers of the Gaussians that are valid at a pair time into `order`, far ones first and
 * of equal ones the later first, and returns how many they are.
 */
export function sortByDepth(scene: IntervalScene, time: number, row: DepthRow, order: Uint32Array): number {
  const { positions, motion, degree, gridSize } = scene;
  const isFading = time < CROSSFADE && scene.count > 2 * gridSize;
  const count = isFading ? scene.count : Math.min(scene.count, 2 * gridSize);
  if (keys.length < count) keys = new Float32Array(count);
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < count; i++) {
    const tau = i < gridSize ? time : time - 1;
    let [x, d, z] = [positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]];
    for (let j = 0, power = tau; j < degree; j++, power *= tau) {
      const at = 3 * (degree * i + j);
      x += motion[at] * power;
      d += motion[at + 1] * power;
      z += motion[at + 2] * power;
    }
    let key = d >= 0 && d <= 1 ? d : NaN;
    if (row) {
      const depth = depthOf(key);
      const ahead = row[0] * x * depth - row[1] * z * depth + row[2] * depth + row[3];
      key = ahead > NEAR ? 1 / ahead : NaN;
    }
    keys[i] = key;
    if (key < low) low = key;
    if (key > high) high = key;
  }
  const scale = high > low ? (BINS - 1) / (high - low) : 0;
  starts.fill(0);
  for (let i = 0; i < count; i++) {
    if (keys[i] === keys[i]) starts[((keys[i] - low) * scale) | 0]++;
  }
  for (let bin = 1; bin <= BINS; bin++) starts[bin] += starts[bin - 1];
  // From the end of each bin downwards: of equal ones the first is drawn last.
  for (let i = 0; i < count; i++) {
    if (keys[i] === keys[i]) order[--starts[((keys[i] - low) * scale) | 0]] = i;
  }
  return starts[BINS];
}

// Surfaces that recede: core/geometry/surfaces.py says why and how.

import { focalOf, shownOf } from "./camera";
import type { Header } from "./records";
import { depthOf, INVERSE_DEPTHS } from "./sort";

const WINDOW = 2;
const MOST_BEND = 3;
const MOST_SLOPE = 12;

/** Shears covariances along the rays, so that Gaussians cover the surfaces that they are part of. */
export function shearAlongSurfaces(covariances: Float32Array, places: Float32Array, header: Header): void {
  const { rows, columns } = header;
  const [across, down] = focalOf(shownOf(header));
  const unit = (-INVERSE_DEPTHS * 2 * across) / (1 + across / down);
  const d = (row: number, column: number) =>
    row >= 0 && row < rows && column >= 0 && column < columns ? places[4 * (row * columns + column) + 1] : NaN;
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at += 6) {
      const inverseDepth = Math.min(Math.max(d(row, column), 0), 1);
      const scale = unit * depthOf(inverseDepth);
      const a = ((scale * columns) / 2) * slopeOf((i) => d(row, column + i));
      const b = ((-scale * rows) / 2) * slopeOf((i) => d(row + i, column));
      if (a * a + b * b > MOST_SLOPE ** 2) continue;
      const [xx, xy, xz, , yz, zz] = covariances.subarray(at, at + 6);
      covariances[at + 1] += a * xx + b * xz;
      covariances[at + 4] += a * xz + b * zz;
      covariances[at + 3] += a * (xy + covariances[at + 1]) + b * (yz + covariances[at + 4]);
    }
  }
}

/** Slope of a line of values at its place 0: of the side that bends less, 0 where no surface is. */
function slopeOf(value: (place: number) => number): number {
  const [behind, ahead] = [-1, 1].map((side) => {
    const places = [0, 1, 2].map((i) => value(side * WINDOW * i));
    return [0, 1].map((i) => (side * (places[i + 1] - places[i])) / WINDOW);
  });
  const bendOf = ([near, far]: number[]) => Math.abs(far - near);
  const [near, far] = bendOf(ahead) < bendOf(behind) || Number.isNaN(bendOf(behind)) ? ahead : behind;
  const [low, high] = Math.abs(near) < Math.abs(far) ? [near, far] : [far, near];
  return low * high > 0 && Math.abs(high) <= MOST_BEND * Math.abs(low) ? low : 0;
}

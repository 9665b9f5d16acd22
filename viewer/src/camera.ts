// The orthographic view of the input, and a pinhole camera that turns about the scene.

import type { Header } from "./records";
import { depthOf, NEAR, type DepthRow } from "./sort";

/** What of the picture is shown, and in which proportions. */
export interface Shown {
  /** Width over height of what is shown. */
  aspect: number;
  /** Width and height of the whole picture, padding included, over those of what is shown. */
  zoom: [number, number];
}

export interface Pose {
  /** Rows are the camera's right, down and forward; the world's axes are those of the input view. */
  rotation: number[];
  shift: number[];
}

export interface View {
  shown: Shown;
  /** Null is the orthographic view of the input. */
  pose: Pose | null;
}

const FIELD_OF_VIEW = Math.PI / 3;
const MAX_TURN = 1.3;
const MAX_PAN = 2;

export function shownOf(header: Header): Shown {
  const { fit, imageWidth, imageHeight, frameWidth, frameHeight } = header;
  if (fit === 0) return { aspect: frameWidth / frameHeight, zoom: [1, 1] };
  if (fit === 1) return { aspect: imageWidth / imageHeight, zoom: [1, 1] };
  const scale = Math.min(imageHeight / frameHeight, imageWidth / frameWidth);
  const even = (length: number) => Math.max(2, 2 * Math.round((length * scale) / 2));
  const [width, height] = [Math.min(even(frameWidth), imageWidth), Math.min(even(frameHeight), imageHeight)];
  return { aspect: width / height, zoom: [imageWidth / width, imageHeight / height] };
}

/** Focal length in half widths and in half heights of the whole picture. */
export function focalOf({ aspect, zoom }: Shown): [number, number] {
  const across = 1 / Math.tan(FIELD_OF_VIEW / 2);
  return [across, (across * aspect * zoom[0]) / zoom[1]];
}

const clamp = (value: number, limit: number) => Math.min(Math.max(value, -limit), limit);

/** Turns about a point straight ahead of the input viewpoint; at rest it is the input view. */
export class Camera {
  private yaw = 0;
  private pitch = 0;
  /** Distance over that of the input viewpoint. */
  private distance = 1;
  private pan: [number, number] = [0, 0];

  constructor(private readonly shown: Shown, private readonly focus: number) {}

  get isHome(): boolean {
    return !this.yaw && !this.pitch && !this.pan[0] && !this.pan[1] && this.distance === 1;
  }

  goHome(): void {
    [this.yaw, this.pitch, this.distance, this.pan] = [0, 0, 1, [0, 0]];
  }

  /** Turns by angles: what is near moves right and down. */
  turn(across: number, down: number): void {
    this.yaw = clamp(this.yaw + across, MAX_TURN);
    this.pitch = clamp(this.pitch + down, MAX_TURN);
  }

  /** Moves the scene by shares of half the picture's width, right and down. */
  move(right: number, down: number): void {
    const unit = (this.focus * this.distance) / focalOf(this.shown)[0] / this.shown.zoom[0];
    const most = MAX_PAN * this.focus;
    this.pan = [clamp(this.pan[0] - right * unit, most), clamp(this.pan[1] - down * unit, most)];
  }

  zoom(factor: number): void {
    this.distance = Math.min(Math.max(this.distance / factor, 0.2), 5);
  }

  view(): View {
    return { shown: this.shown, pose: this.isHome ? null : this.pose() };
  }

  private pose(): Pose {
    const [sy, cy, sp, cp] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    const right = [cy, 0, -sy];
    const down = [-sp * sy, cp, -sp * cy];
    const forward = [sy * cp, sp, cy * cp];
    const [x, y] = this.pan;
    const eye = [0, 1, 2].map(
      (axis) => x * right[axis] + y * down[axis] - this.distance * this.focus * forward[axis],
    );
    eye[2] += this.focus;
    const rows = [right, down, forward];
    const shift = rows.map((row) => -row.reduce((sum, value, axis) => sum + value * eye[axis], 0));
    return { rotation: rows.flat(), shift };
  }
}

/** Where a canonical place is seen, in half widths and half heights of what is shown, right and up. */
export function project({ shown, pose }: View, x: number, d: number, z: number): [number, number] | null {
  const { zoom } = shown;
  if (!pose) return [x * zoom[0], z * zoom[1]];
  const depth = depthOf(d);
  const focal = focalOf(shown);
  const lifted = [(x * depth) / focal[0], (-z * depth) / focal[1], depth];
  const [right, down, ahead] = [0, 1, 2].map((row) =>
    lifted.reduce((sum, value, axis) => sum + pose.rotation[3 * row + axis] * value, pose.shift[row]),
  );
  if (ahead <= NEAR) return null;
  return [(zoom[0] * focal[0] * right) / ahead, (-zoom[1] * focal[1] * down) / ahead];
}

/** What the sorter needs of a view. */
export function depthRowOf({ pose, shown }: View): DepthRow {
  if (!pose) return null;
  const [across, down] = focalOf(shown);
  return [pose.rotation[6] / across, pose.rotation[7] / down, pose.rotation[8], pose.shift[2]];
}

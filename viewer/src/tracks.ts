// Tracks of points over the picture: where each is, and the way that it came.

import { bytesOf } from "./base64";
import { project, type View } from "./camera";

/** Frames over which a trail reaches back, and seconds where the frame rate is not known. */
const TRAIL = 12;
const TRAIL_SECONDS = 0.5;
/** Change of the inverse depth behind which a trail is not drawn: the point has come to another surface. */
const MAX_STEP = 0.03;

interface Group {
  /** Seconds, rising. */
  times: number[];
  /** x, inverse depth, z of each point at each time. */
  places: Float32Array;
  /** 1 of a point that nothing covers, of each at each time. */
  visible: Uint8Array;
}

/** Tracks as core/viewer/tracks.py writes them. */
export class Tracks {
  private readonly count: number;
  private readonly groups: Group[];
  private readonly trail: number;

  constructor(text: string, frameRate: number) {
    const { count, groups } = JSON.parse(text);
    this.count = count;
    this.groups = groups.map(({ times, places, visible }: Record<"times" | "places" | "visible", never>) => {
      const levels = new DataView(bytesOf(places).buffer);
      const bits = bytesOf(visible);
      const numbers = (times as number[]).length * count;
      return {
        times,
        places: Float32Array.from({ length: 3 * numbers }, (_, i) => {
          const share = levels.getUint16(2 * i, true) / 65535;
          return i % 3 === 1 ? share : 4 * share - 2;
        }),
        visible: Uint8Array.from({ length: numbers }, (_, i) => (bits[i >> 3] >> (7 - (i & 7))) & 1),
      };
    });
    this.trail = frameRate ? TRAIL / frameRate : TRAIL_SECONDS;
  }

  /** Draws discs, rings where a point is hidden, and trails, over the whole of a canvas. */
  draw(canvas: HTMLCanvasElement, view: View, seconds: number): void {
    const context = canvas.getContext("2d")!;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const group = this.groups.findLast(({ times }) => times[0] <= seconds + 1e-6);
    if (!group) return;
    const { times, visible } = group;
    const end = Math.min(seconds, times[times.length - 1]);
    const begin = end - this.trail;
    // The trail: what was stored of it, and both of its ends in between.
    const stops = [Math.max(begin, times[0]), ...times.filter((time) => time > begin && time < end), end];
    const steps = stops.map((time) => stepOf(times, time));
    const radius = Math.max(2, Math.min(canvas.width, canvas.height) / 150);
    context.lineWidth = radius / 1.6;
    context.lineCap = context.lineJoin = "round";
    for (let point = 0; point < this.count; point++) {
      const line = steps.map((step) => this.placeOf(group, point, step, view, canvas));
      const last = line[line.length - 1];
      if (!last) continue;
      context.strokeStyle = context.fillStyle = `hsl(${(360 * point) / this.count} 90% 60%)`;
      context.beginPath();
      let before = last[2];
      for (const place of line.reverse()) {
        if (!place || Math.abs(place[2] - before) > MAX_STEP) break;
        context.lineTo(place[0], place[1]);
        before = place[2];
      }
      context.stroke();
      context.beginPath();
      context.arc(last[0], last[1], radius, 0, 2 * Math.PI);
      const [step, share] = steps[steps.length - 1];
      if (visible[(share < 0.5 ? step : step + 1) * this.count + point]) context.fill();
      else context.stroke();
    }
  }

  /** Returns where a point is, pixels, and its inverse depth. */
  private placeOf(
    { places }: Group, point: number, [step, share]: Step, view: View, { width, height }: HTMLCanvasElement,
  ): [number, number, number] | null {
    const from = 3 * (step * this.count + point);
    const to = share ? from + 3 * this.count : from;
    const [x, d, z] = [0, 1, 2].map((axis) => (1 - share) * places[from + axis] + share * places[to + axis]);
    const place = project(view, x, d, z);
    return place && [(0.5 + 0.5 * place[0]) * width, (0.5 - 0.5 * place[1]) * height, d];
  }
}

/** The stored time before, and the share of the way to the next one. */
type Step = [number, number];

function stepOf(times: number[], seconds: number): Step {
  const after = times.findIndex((time) => time > seconds);
  if (after < 0) return [times.length - 1, 0];
  if (after === 0) return [0, 0];
  return [after - 1, (seconds - times[after - 1]) / (times[after] - times[after - 1])];
}

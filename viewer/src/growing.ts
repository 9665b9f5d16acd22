// A scene whose records come one after the other, and of which the oldest may be forgotten.

import { damaged, Fields, MAX_DEGREE, readHeader, readRecords, type Header, type Interval, type KeyFrame, type SceneFile } from "./records";

/** How much of the scene is kept, in seconds and in bytes of its records. */
export interface Limit {
  seconds: number;
  bytes: number;
}

/** Intervals may be missing, and key frames come twice: what joins is found by their numbers. */
export class GrowingScene implements SceneFile {
  header: Header = null!;
  readonly keyFrames: KeyFrame[] = [];
  readonly intervals: Interval[] = [];
  readonly isComplete = true;

  constructor(private readonly limit: Limit) {}

  append(bytes: Uint8Array<ArrayBuffer>): void {
    for (const { type, payload } of readRecords(bytes, 0)) {
      const fields = new Fields(payload);
      if (type === "HEAD") this.header = readHeader(fields);
      if (type === "KEYF") this.addKeyFrame(fields, payload.subarray(16));
      if (type === "INTV") this.addInterval(fields, payload.subarray(16));
    }
    this.forget();
  }

  private addKeyFrame(fields: Fields, payload: Uint8Array<ArrayBuffer>): void {
    const [number, shot, time] = [fields.u32(), fields.u32(), fields.f64()];
    const before = this.keyFrames.at(-1);
    if (before && number <= before.number) return;
    if (before && !(time > before.time)) throw damaged(`key frame ${number} does not follow the one before`);
    this.keyFrames.push({ number, shot, time, payload });
  }

  private addInterval(fields: Fields, payload: Uint8Array<ArrayBuffer>): void {
    const [number, firstNumber, secondNumber, degree] = [fields.u32(), fields.u32(), fields.u32(), fields.u32()];
    const before = this.intervals.at(-1);
    if (before && number <= before.number) return;
    const second = this.keyFrames.length - 1;
    const first = firstNumber === secondNumber ? second : second - 1;
    const joins = this.keyFrames[first]?.number === firstNumber && this.keyFrames[second].number === secondNumber;
    if (!joins || degree > MAX_DEGREE) throw damaged(`interval ${number} does not follow the one before`);
    const opens = before?.second !== first || first === second;
    this.intervals.push({ number, first, second, opens, degree, payload });
  }

  private forget(): void {
    const { keyFrames, intervals, limit } = this;
    let bytes = [...keyFrames, ...intervals].reduce((sum, { payload }) => sum + payload.length, 0);
    while (
      intervals.length > 1 &&
      (bytes > limit.bytes || keyFrames.at(-1)!.time - keyFrames[intervals[0].first].time > limit.seconds)
    ) {
      bytes -= intervals.shift()!.payload.length;
      const gone = keyFrames.splice(0, intervals[0].first);
      for (const { payload } of gone) bytes -= payload.length;
      for (const interval of intervals) {
        interval.first -= gone.length;
        interval.second -= gone.length;
      }
      intervals[0].opens = true;
    }
  }
}

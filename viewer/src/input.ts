// The input frames, beside the picture or over it: a video that follows the time shown.

export type Placement = "off" | "beside" | "over";

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export class InputFrames {
  private wanted = 0;
  /** Browsers round their own time. */
  private sought = -1;

  /** Takes an MP4 that begins when the scene does; `failed` is called if it cannot be played. */
  constructor(private readonly video: HTMLVideoElement, bytes: Uint8Array<ArrayBuffer>, failed: () => void) {
    video.addEventListener("seeked", () => this.seek());
    video.addEventListener("loadedmetadata", () => this.seek());
    video.addEventListener("error", failed, { once: true });
    video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  }

  /** Shows the frame of a time, seconds from the beginning; while one is sought, the newest wins. */
  show(seconds: number): void {
    // Just behind its beginning, so that rounding does not lead to the frame before.
    this.wanted = seconds + 1e-3;
    this.seek();
  }

  private seek(): void {
    const { video, wanted } = this;
    if (video.hidden || video.seeking || !video.readyState || this.sought === wanted) return;
    this.sought = wanted;
    video.currentTime = Math.min(wanted, video.duration);
    // Of two seeks in a row Chromium may leave the first one's frame standing, but if it is asked for the next.
    video.requestVideoFrameCallback?.(() => undefined);
  }

  /** Lays out the picture within a stage, and the input with it; returns where the picture is. */
  place(placement: Placement, opacity: number, aspect: number, [width, height]: [number, number]): Box {
    const { video } = this;
    video.hidden = placement === "off";
    video.style.opacity = placement === "over" ? String(opacity) : "1";
    const isBeside = placement === "beside";
    const isRow = isBeside && fitted(aspect, width / 2, height).width >= fitted(aspect, width, height / 2).width;
    const cell: [number, number] = [isRow ? width / 2 : width, isBeside && !isRow ? height / 2 : height];
    const box = fitted(aspect, ...cell);
    const shift = { left: isRow ? cell[0] : 0, top: isBeside && !isRow ? cell[1] : 0 };
    lay(video, box);
    this.seek();
    return { ...box, left: box.left + Math.floor(shift.left), top: box.top + Math.floor(shift.top) };
  }
}

/** The largest box of an aspect in the middle of a stage, at whole pixels: browsers blur others. */
export function fitted(aspect: number, width: number, height: number): Box {
  const across = Math.max(Math.floor(Math.min(width, height * aspect)), 1);
  const down = Math.max(Math.round(across / aspect), 1);
  return {
    left: Math.floor((width - across) / 2), top: Math.floor((height - down) / 2), width: across, height: down,
  };
}

export function lay(element: HTMLElement, box: Box): void {
  for (const side of ["left", "top", "width", "height"] as const) element.style[side] = `${box[side]}px`;
}

// The page: plays the scene that it holds.

import { bytesOf } from "./base64";
import { Camera, depthRowOf, shownOf, type View } from "./camera";
import { attachControls } from "./controls";
import { fitted, InputFrames, lay, type Placement } from "./input";
import { Live, type Followed, type Guide } from "./live";
import { SceneError } from "./records";
import { orderLength, Renderer, type Mode } from "./renderer";
import { Tracks } from "./tracks";
import type { Failure, Frame, FrameRequest, Grown, Opened, OpenRequest } from "./worker";

declare const WORKER_SOURCE: string;

/** Most pixels that are drawn; a larger window shows them enlarged. */
const MAX_PIXELS = 2.5e6;

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const stage = element("stage");
const canvas = element<HTMLCanvasElement>("picture");
const note = element("note");
const slider = element<HTMLInputElement>("time");
const clock = element("clock");
const playButton = element<HTMLButtonElement>("play");
const loopBox = element<HTMLInputElement>("loop");
const speedMenu = element<HTMLSelectElement>("speed");
const homeButton = element<HTMLButtonElement>("home");
const trails = element<HTMLCanvasElement>("trails");
const trackBox = element<HTMLInputElement>("tracked");
const video = element<HTMLVideoElement>("video");
const comparing = element("comparing");
const fadeSlider = element<HTMLInputElement>("fade");
const modes = [...document.querySelectorAll<HTMLInputElement>("input[name=mode]")];
const placements = [...document.querySelectorAll<HTMLInputElement>("input[name=input]")];

const chosen = (group: HTMLInputElement[]) => group.find((button) => button.checked)!;

/** Takes what a part of the page holds beside the scene; null where there is none. */
function takePart(name: string): { text: string; isWhole: boolean } | null {
  const part = document.querySelector<HTMLScriptElement>(`script#${name}`);
  if (!part) return null;
  part.remove();
  return { text: part.text, isWhole: part.text.length === Number(part.dataset.length) };
}

function say(text: string): void {
  note.textContent = text;
  note.hidden = !text;
}

class Player implements Followed {
  private readonly camera: Camera;
  private readonly aspect: number;
  private readonly frameTime: number;
  private tracks: Tracks | null = null;
  private input: InputFrames | null = null;
  private renderer: Renderer;
  private seconds: number;
  private isPlaying = false;
  private isWaiting = false;
  private isStale = true;
  private lastTick = 0;
  private guide: Guide | null = null;
  private order: Uint32Array<ArrayBuffer>;
  /** As of the newest request. */
  private view: View;

  constructor(private readonly worker: Worker, private readonly scene: Opened) {
    const { header, window: [start, end], keyTimes } = scene;
    document.title = `${header.name || "Scene"} · StreamSplat`;
    // Within another page, that one says it.
    element("title").textContent = window === parent ? header.name || "Scene" : "";
    this.renderer = new Renderer(canvas, header);
    const shown = shownOf(header);
    this.aspect = shown.aspect;
    this.camera = new Camera(shown, scene.focus);
    this.view = this.camera.view();
    this.order = new Uint32Array(orderLength(scene.header));
    this.seconds = start;
    this.frameTime = header.frameRate ? 1 / header.frameRate : (end - start) / 100;
    slider.step = "any";
    this.listen();
    const isWhole = this.takeParts();
    this.layout();
    for (const control of document.querySelectorAll<HTMLInputElement>("#controls [disabled]")) control.disabled = false;
    if (!scene.isComplete) say(`The file is cut short: the scene ends at ${end.toFixed(2)} s.`);
    else say(isWhole ? "" : "The page is cut short: the scene is whole, tracks or input frames are missing.");
    this.grow({ window: scene.window, keyTimes });
    slider.value = String(start);
  }

  /** Takes tracks and input frames, where the page holds them; returns whether it holds all of both. */
  private takeParts(): boolean {
    const [tracks, input] = [takePart("tracks"), takePart("input")];
    if (tracks?.isWhole) this.addTracks(tracks.text);
    if (input?.isWhole) this.addInput(bytesOf(input.text));
    return (tracks?.isWhole ?? true) && (input?.isWhole ?? true);
  }

  /** Takes what a server sends after the scene. */
  addPart(name: string, bytes: Uint8Array<ArrayBuffer>): void {
    if (name === "tracks") this.addTracks(new TextDecoder().decode(bytes));
    else this.addInput(bytes);
    this.layout();
    this.refresh();
  }

  private addTracks(text: string): void {
    this.tracks = new Tracks(text, this.scene.header.frameRate);
    trackBox.parentElement!.hidden = false;
    element("partkeys").append(" · T: tracks");
  }

  private addInput(bytes: Uint8Array<ArrayBuffer>): void {
    comparing.hidden = false;
    element("partkeys").append(" · I: input");
    this.input = new InputFrames(video, bytes, () => {
      say("This browser cannot play the video of the input frames.");
      placements[0].checked = true;
      comparing.hidden = true;
      this.layout();
    });
  }

  private markKeyFrames(times: number[]): void {
    const [start, end] = this.scene.window;
    const marks = times.map((time) => {
      const mark = document.createElement("i");
      mark.style.left = `${end > start ? (100 * (time - start)) / (end - start) : 0}%`;
      return mark;
    });
    element("marks").replaceChildren(...marks);
  }

  private listen(): void {
    attachControls(canvas, this.camera, () => this.refresh());
    slider.addEventListener("input", () => this.seek(slider.valueAsNumber));
    playButton.addEventListener("click", () => this.play(!this.isPlaying));
    homeButton.addEventListener("click", () => {
      // It will be disabled, and the focus not be lost.
      if (document.activeElement === homeButton) canvas.focus();
      this.camera.goHome();
      this.refresh();
    });
    for (const button of [...modes, trackBox]) button.addEventListener("change", () => this.refresh());
    for (const control of [...placements, fadeSlider]) control.addEventListener("input", () => this.layout());
    document.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.layout()).observe(stage);
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.renderer = new Renderer(canvas, this.scene.header);
      this.refresh();
    });
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const focused = document.activeElement;
    const steps: Record<string, number> = { ",": -1, ".": 1 };
    if (focused === slider) Object.assign(steps, { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 });
    const hasOwnSpace = focused?.matches("button, select, [type=checkbox], [type=radio]");
    const number = Number(event.key);
    if (event.key in steps) this.seek(this.seconds + steps[event.key] * this.frameTime);
    else if (event.key === " " && !hasOwnSpace) this.play(!this.isPlaying);
    else if (event.key === "Home" && focused !== slider) homeButton.click();
    else if (number >= 1 && number <= modes.length) modes[number - 1].click();
    else if (event.key === "t" && this.tracks) trackBox.click();
    else if (event.key === "i" && this.input) placements[(placements.indexOf(chosen(placements)) + 1) % 3].click();
    else return;
    event.preventDefault();
  }

  /** Sizes the canvas to the stage, in the proportions of the input. */
  private layout(): void {
    const size: [number, number] = [stage.clientWidth, stage.clientHeight];
    const placement = chosen(placements).value as Placement;
    fadeSlider.hidden = placement !== "over";
    const box = this.input?.place(placement, fadeSlider.valueAsNumber, this.aspect, size) ?? fitted(this.aspect, ...size);
    const scale = Math.min(devicePixelRatio, Math.sqrt(MAX_PIXELS / (box.width * box.height)));
    for (const layer of [canvas, trails]) lay(layer, box);
    const pixels = [box.width, box.height].map((side) => Math.max(Math.round(side * scale), 1));
    if (canvas.width === pixels[0] && canvas.height === pixels[1]) return;
    [canvas.width, canvas.height] = pixels;
    [trails.width, trails.height] = pixels;
    this.refresh();
  }

  play(isPlaying: boolean): void {
    const [start, end] = this.scene.window;
    this.isPlaying = isPlaying;
    playButton.dataset.state = isPlaying ? "playing" : "paused";
    playButton.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    if (!isPlaying) {
      const guide = this.guide;
      this.guide = null;
      return guide?.left();
    }
    if (this.seconds >= end && !this.guide) this.seconds = start;
    this.lastTick = performance.now();
    requestAnimationFrame((now) => this.tick(now));
  }

  private tick(now: number): void {
    if (!this.isPlaying) return;
    const before = this.seconds;
    if (this.guide) this.seconds = this.guide.secondsAt(now);
    else this.advance(now);
    this.lastTick = now;
    if (this.seconds !== before) this.refresh();
    requestAnimationFrame((then) => this.tick(then));
  }

  private advance(now: number): void {
    const [start, end] = this.scene.window;
    // After a tab was hidden, playing goes on from where it was.
    const passed = Math.min(Math.max(now - this.lastTick, 0), 250) / 1000;
    this.seconds += passed * Number(speedMenu.value);
    if (this.seconds >= end && loopBox.checked) this.seconds = start + ((this.seconds - start) % (end - start));
    else if (this.seconds >= end) {
      this.seconds = end;
      this.play(false);
    }
  }

  /** Takes the times of a scene that has grown, or that has lost its beginning. */
  grow({ window, keyTimes }: Pick<Grown, "window" | "keyTimes">): void {
    const [start, end] = (this.scene.window = window);
    [slider.min, slider.max] = [String(start), String(end)];
    slider.disabled = playButton.disabled = end === start;
    this.seconds = Math.max(this.seconds, start);
    this.markKeyFrames(keyTimes);
  }

  /** Shows what a guide says, until somebody pauses or chooses a time. */
  follow(guide: Guide): void {
    this.guide = guide;
    if (!this.isPlaying) this.play(true);
  }

  private seek(seconds: number): void {
    if (this.guide) this.play(false);
    const [start, end] = this.scene.window;
    this.seconds = Math.min(Math.max(seconds, start), end);
    this.refresh();
  }

  /** Asks for a picture; while one is on its way, the newest wish waits and wins. */
  refresh(): void {
    this.isStale = true;
    if (this.isWaiting) return;
    this.isWaiting = true;
    this.isStale = false;
    this.view = this.camera.view();
    const request: FrameRequest = {
      kind: "frame",
      seconds: this.seconds,
      row: depthRowOf(this.view),
      known: this.renderer.known,
      order: this.order,
    };
    this.worker.postMessage(request, [this.order.buffer]);
  }

  show(frame: Frame): void {
    this.order = frame.order;
    this.renderer.update(frame);
    this.renderer.draw(this.view, chosen(modes).value as Mode);
    trails.hidden = !trackBox.checked;
    if (!trails.hidden) this.tracks?.draw(trails, this.view, frame.seconds);
    this.input?.show(frame.seconds - this.scene.window[0]);
    slider.value = String(frame.seconds);
    clock.textContent = `${frame.seconds.toFixed(3)} s`;
    slider.setAttribute("aria-valuetext", `${frame.seconds.toFixed(2)} seconds`);
    homeButton.disabled = this.view.pose === null;
    this.guide?.shown(frame.seconds);
    this.isWaiting = false;
    if (this.isStale) this.refresh();
  }

  /** A part of the scene cannot be shown; the rest can. */
  fail(message: string): void {
    say(message);
    this.play(false);
    this.isWaiting = false;
    this.order = new Uint32Array(orderLength(this.scene.header));
  }
}

function start(): void {
  const data = element("scene");
  const base64 = data?.textContent ?? "";
  data?.remove();
  if (!base64.trim()) return say("The page is cut short: it holds no scene.");
  say("Decoding the scene …");
  const isServed = base64.trim() === "live";
  const worker = new Worker(URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" })));
  let player: Player | null = null;
  const live = isServed ? new Live(worker, say) : null;
  worker.onmessage = ({ data: message }: MessageEvent<Opened | Grown | Frame | Failure>) => {
    try {
      if (message.kind === "opened") player = new Player(worker, message);
      if (message.kind === "grown") player!.grow(message);
      if (message.kind === "opened" || message.kind === "grown") live?.grown(message, player!);
      else if (message.kind === "frame") player!.show(message);
      else if (player) player.fail(message.message);
      else say(message.message);
    } catch (error) {
      if (!(error instanceof SceneError)) throw error;
      say(error.message);
    }
  };
  if (isServed) return;
  const request: OpenRequest = { kind: "open", base64 };
  worker.postMessage(request);
}

say("Loading the scene …");
// A page that is cut short ends within the scene, behind this script.
document.addEventListener("DOMContentLoaded", start);

// The page of a server: fetches records of a scene, and follows one that is being reconstructed.

import type { AppendRequest, Grown } from "./worker";

/** Says where a live scene is to be shown, instead of the clock of the page. */
export interface Guide {
  secondsAt(now: number): number;
  shown(seconds: number): void;
  /** Somebody paused, or chose a time. */
  left(): void;
}

export interface Followed {
  follow(guide: Guide): void;
  play(isPlaying: boolean): void;
  addPart(name: string, bytes: Uint8Array<ArrayBuffer>): void;
}

/** What a server says of itself, of the records that follow, and at the end. */
interface Facts {
  session?: string;
  live?: boolean;
  /** How much of a live scene is kept. */
  seconds?: number;
  bytes?: number;
  /** Milliseconds since the newest frame of the records was there. */
  age?: number;
  /** Frames of the source that came faster than the model works. */
  dropped?: number;
  /** Key frames that were not sent, because this page was too slow or held. */
  skipped?: number;
  /** Of a file, what has been sent with these records. */
  share?: number;
  /** Tracks or input frames follow, and no records. */
  part?: string;
  ended?: string;
}

const RETRY_MS = 1000;
const STATUS_MS = 250;
/** The scene is shown that much slower than it comes, so that it rarely waits … */
const SLACK = 1.1;
/** … but what comes in longer steps is shown within this time, so that it is not late. */
const LONGEST_MS = 1000;

/** Where to be within a scene that grows by steps: always on the way to its end. */
class Pursuit {
  private seconds = NaN;
  private end = NaN;
  /** Seconds of the scene a millisecond. */
  private speed = 0;
  /** Milliseconds between two steps. */
  private period = 0;
  private lastStep = NaN;
  private lastLook = 0;

  step(keyTimes: number[], now: number): void {
    const end = keyTimes.at(-1)!;
    const length = end - (keyTimes.at(-2) ?? end);
    const passed = now - this.lastStep;
    if (!this.period) this.period = 1000 * length;
    if (passed < 5000) this.period += 0.3 * (passed - this.period);
    [this.end, this.lastStep] = [end, now];
    // What is far behind is not made up for.
    if (!(end - this.at(now) <= 2.5 * length)) this.seconds = end - length;
    this.speed = (end - this.seconds) / Math.min(SLACK * Math.max(this.period, 1), LONGEST_MS);
  }

  at(now: number): number {
    this.seconds = Math.min(this.seconds + this.speed * Math.max(now - this.lastLook, 0), this.end);
    this.lastLook = now;
    return this.seconds;
  }

  get isAtEnd(): boolean {
    return this.seconds >= this.end;
  }
}

export class Live implements Guide {
  private socket: WebSocket | null = null;
  private session = "";
  private isLive = false;
  private isFollowing = true;
  private isAsking = false;
  private ended: string | null = null;
  private limit = { seconds: Infinity, bytes: Infinity };
  private facts: Facts = {};
  private player: Followed | null = null;
  private pursuit = new Pursuit();
  /** When the newest frame that was sent was there, and when time 0 of the scene was, by the page's clock. */
  private captured = 0;
  private zero = 0;
  private delay = 0;
  private readonly status = document.createElement("span");
  private readonly button = document.createElement("button");

  constructor(private readonly worker: Worker, private readonly say: (text: string) => void) {
    this.status.id = "feed";
    this.button.id = "live";
    this.button.textContent = "Live";
    this.button.addEventListener("click", () => this.goLive());
    this.connect();
  }

  private connect(): void {
    const address = new URL("live", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.hear(JSON.parse(data) as Facts);
      else this.take(data as ArrayBuffer);
    });
    socket.addEventListener("close", () => this.lose());
    this.socket = socket;
    this.isAsking = false;
  }

  private async lose(): Promise<void> {
    this.socket = null;
    if (this.ended !== null) return;
    this.say("The server does not answer; trying again …");
    this.tell();
    for (;;) {
      await new Promise((done) => setTimeout(done, RETRY_MS));
      // A WebSocket would not say why it is refused.
      const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
      if (answer?.ok) return this.connect();
      if (answer?.status === 403) {
        return this.say("The server was started anew and has another address, which it prints.");
      }
    }
  }

  private hear(facts: Facts): void {
    if (facts.session !== undefined) {
      if (this.session && this.session !== facts.session) return location.reload();
      this.session = facts.session;
      this.isLive = facts.live!;
      if (this.isLive) this.limit = { seconds: facts.seconds!, bytes: facts.bytes! };
      this.say(this.player || !this.isLive ? "" : "Waiting for the source …");
      if (this.isFollowing) this.ask();
    } else if (facts.ended !== undefined) {
      this.ended = facts.ended;
      this.status.setAttribute("role", "status");
      // Of a live scene, the line that follows it says so.
      this.say(this.isLive && this.player ? "" : this.ended);
      this.socket?.close();
      this.tell();
    } else {
      this.facts = facts;
      this.captured = performance.now() - (facts.age ?? 0);
    }
  }

  private ask(): void {
    if (this.isAsking || this.socket?.readyState !== WebSocket.OPEN) return;
    this.isAsking = true;
    this.socket.send("next");
  }

  private take(records: ArrayBuffer): void {
    if (this.facts.part) {
      this.player!.addPart(this.facts.part, new Uint8Array(records));
      this.isAsking = false;
      return this.ask();
    }
    const request: AppendRequest = { kind: "append", bytes: new Uint8Array(records), limit: this.limit };
    this.worker.postMessage(request, [records]);
  }

  /** The records that came are in the scene. */
  grown({ keyTimes }: Pick<Grown, "keyTimes">, player: Followed): void {
    this.isAsking = false;
    if (!this.player) {
      this.player = player;
      if (this.isLive) this.show(player);
    }
    if (this.isLive) {
      this.pursuit.step(keyTimes, performance.now());
      this.zero = this.captured - 1000 * keyTimes.at(-1)!;
      this.tell();
    } else {
      const share = this.facts.share ?? 0;
      this.say(share < 1 ? `Loading … ${Math.floor(100 * share)} %` : "");
    }
    if (this.isFollowing) this.ask();
  }

  private show(player: Followed): void {
    document.getElementById("home")!.before(this.status, this.button);
    setInterval(() => this.tell(), STATUS_MS);
    player.follow(this);
  }

  private goLive(): void {
    this.isFollowing = true;
    this.player!.follow(this);
    this.ask();
    this.tell();
  }

  left(): void {
    this.isFollowing = false;
    this.tell();
  }

  secondsAt(now: number): number {
    const seconds = this.pursuit.at(now);
    // Once nothing follows, the page plays what it has.
    if (this.ended !== null && this.pursuit.isAtEnd) queueMicrotask(() => this.player!.play(false));
    return seconds;
  }

  shown(seconds: number): void {
    this.delay = performance.now() - this.zero - 1000 * seconds;
  }

  private state(): string {
    if (this.ended !== null) return this.ended.replace(/\.$/, "");
    if (!this.socket) return "No connection";
    if (this.isFollowing) return `Live · ${Math.round(this.delay)} ms`;
    return document.getElementById("play")!.dataset.state === "playing" ? "Replay" : "Paused";
  }

  private tell(): void {
    const { dropped = 0, skipped = 0 } = this.facts;
    const counts = [
      dropped ? `${dropped} frames dropped` : "",
      skipped ? `${skipped} key frames skipped` : "",
    ];
    this.status.textContent = [this.state(), ...counts].filter(Boolean).join(" · ");
    this.button.disabled = this.isFollowing || this.ended !== null || !this.socket;
  }
}

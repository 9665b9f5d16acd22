// Draws an interval's Gaussians, sorted from far to near, into a canvas by WebGL2.

import { focalOf, type View } from "./camera";
import { SceneError, type Header } from "./records";
import { BATCH, MODES, SHOW_FRAGMENT, SHOW_VERTEX, SPLAT_FRAGMENT, SPLAT_VERTEX, TEXTURE_WIDTH } from "./shaders";
import { CROSSFADE, NEAR } from "./sort";
import type { Frame, SceneForShader } from "./worker";

export type Mode = keyof typeof MODES;

class Program {
  private readonly places = new Map<string, WebGLUniformLocation | null>();
  readonly handle: WebGLProgram;

  constructor(private readonly gl: WebGL2RenderingContext, vertex: string, fragment: string) {
    this.handle = gl.createProgram()!;
    const sources = [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const;
    for (const [kind, source] of sources) {
      const shader = gl.createShader(kind)!;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.handle, shader);
      gl.deleteShader(shader);
    }
    gl.linkProgram(this.handle);
    if (!gl.getProgramParameter(this.handle, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new SceneError(`The graphics driver refuses a shader: ${gl.getProgramInfoLog(this.handle)}`);
    }
  }

  at(name: string): WebGLUniformLocation | null {
    if (!this.places.has(name)) this.places.set(name, this.gl.getUniformLocation(this.handle, name));
    return this.places.get(name)!;
  }
}

/** Length of buffers for the order: whole rows of its texture. */
export function orderLength({ rows, columns }: Header): number {
  return Math.ceil((3 * rows * columns) / TEXTURE_WIDTH) * TEXTURE_WIDTH;
}

export class Renderer {
  private readonly gl: WebGL2RenderingContext;
  private readonly splats: Program;
  private readonly show: Program;
  private readonly order: WebGLTexture;
  private readonly target: WebGLFramebuffer;
  private texels: WebGLTexture | null = null;
  private texelRows = 0;
  private accumulated: WebGLTexture | null = null;
  private size: [number, number] = [0, 0];
  private scene: Omit<SceneForShader, "texels"> | null = null;
  private frame: { time: number; count: number } | null = null;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly header: Header) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false });
    if (!gl) throw new SceneError("This browser has no WebGL2, which the player needs.");
    if (!gl.getExtension("EXT_color_buffer_float") && !gl.getExtension("EXT_color_buffer_half_float")) {
      throw new SceneError("This graphics driver cannot draw into float textures, which the player needs.");
    }
    this.gl = gl;
    this.splats = new Program(gl, SPLAT_VERTEX, SPLAT_FRAGMENT);
    this.show = new Program(gl, SHOW_VERTEX, SHOW_FRAGMENT);
    this.target = gl.createFramebuffer()!;
    this.order = this.makeTexture(gl.R32UI, TEXTURE_WIDTH, orderLength(header) / TEXTURE_WIDTH);
    const corners = Uint16Array.from({ length: 6 * BATCH }, (_, i) => 4 * Math.floor(i / 6) + [0, 1, 2, 2, 1, 3][i % 6]);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    gl.useProgram(this.splats.handle);
    gl.uniform1i(this.splats.at("order"), 1);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** Number of the interval whose texels are on the GPU; -1 before the first. */
  get known(): number {
    return this.scene?.number ?? -1;
  }

  private makeTexture(format: number, width: number, height: number, levels = 1): WebGLTexture {
    const { gl } = this;
    const texture = gl.createTexture()!;
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, levels, format, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    return texture;
  }

  private uploadScene(scene: SceneForShader): void {
    const { gl } = this;
    const { texels, ...rest } = scene;
    const rows = Math.ceil(texels.length / 4 / TEXTURE_WIDTH);
    if (rows > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
      throw new SceneError(`The scene has too many Gaussians for this graphics driver: ${scene.count}.`);
    }
    if (rows > this.texelRows) {
      gl.deleteTexture(this.texels);
      this.texels = this.makeTexture(gl.RGBA32F, TEXTURE_WIDTH, rows);
      this.texelRows = rows;
    }
    gl.bindTexture(gl.TEXTURE_2D, this.texels);
    const whole = Math.floor(texels.length / 4 / TEXTURE_WIDTH);
    const upload = (row: number, width: number, height: number) => {
      const from = 4 * row * TEXTURE_WIDTH;
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, row, width, height, gl.RGBA, gl.FLOAT, texels, from);
    };
    if (whole) upload(0, TEXTURE_WIDTH, whole);
    if (rows > whole) upload(whole, texels.length / 4 - whole * TEXTURE_WIDTH, 1);
    this.scene = rest;
  }

  /** Takes what the worker sorted; the next picture shows it. */
  update(frame: Frame): void {
    const { gl } = this;
    if (frame.scene) this.uploadScene(frame.scene);
    const rows = Math.ceil(frame.count / TEXTURE_WIDTH);
    gl.bindTexture(gl.TEXTURE_2D, this.order);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, TEXTURE_WIDTH, rows, gl.RED_INTEGER, gl.UNSIGNED_INT, frame.order);
    this.frame = { time: frame.time, count: frame.count };
  }

  private resize(): void {
    const { gl, canvas } = this;
    if (canvas.width === this.size[0] && canvas.height === this.size[1]) return;
    this.size = [canvas.width, canvas.height];
    gl.deleteTexture(this.accumulated);
    // Sums of a hundred contributions in 8 bits would be off by several levels.
    const levels = Math.floor(Math.log2(Math.max(...this.size))) + 1;
    this.accumulated = this.makeTexture(gl.RGBA16F, canvas.width, canvas.height, levels);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.accumulated, 0);
  }

  draw(view: View, mode: Mode): void {
    const { gl, header, scene, frame } = this;
    if (!scene || !frame) return;
    this.resize();
    const [width, height] = this.size;
    gl.viewport(0, 0, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.splats.handle);
    const at = (name: string) => this.splats.at(name);
    const zoom = view.shown.zoom;
    const isFading = scene.count > 2 * scene.gridSize;
    gl.uniform1i(at("degree"), scene.degree);
    gl.uniform1ui(at("gridSize"), scene.gridSize);
    gl.uniform1f(at("time"), frame.time);
    gl.uniform1f(at("share"), isFading ? Math.min(frame.time / CROSSFADE, 1) : 1);
    gl.uniform1f(at("rate"), scene.duration ? 1 / scene.duration : 0);
    gl.uniform2f(at("picture"), width * zoom[0], height * zoom[1]);
    gl.uniform2f(at("modelPixel"), 2 / header.imageWidth, 2 / header.imageHeight);
    gl.uniform2fv(at("zoom"), zoom);
    gl.uniform1i(at("perspective"), view.pose ? 1 : 0);
    if (view.pose) {
      gl.uniformMatrix3fv(at("rotation"), true, view.pose.rotation);
      gl.uniform3fv(at("shift"), view.pose.shift);
    }
    gl.uniform2fv(at("focal"), focalOf(view.shown));
    gl.uniform1f(at("near"), NEAR);
    gl.uniform1i(at("mode"), MODES[mode]);
    gl.uniform1ui(at("count"), frame.count);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.order);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.texels);
    gl.enable(gl.BLEND);
    const batches = Math.ceil(frame.count / BATCH);
    gl.drawElementsInstanced(gl.TRIANGLES, 6 * BATCH, gl.UNSIGNED_SHORT, 0, batches);
    gl.disable(gl.BLEND);

    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.useProgram(this.show.handle);
    gl.uniform3fv(this.show.at("background"), header.background);
    gl.uniform1i(this.show.at("mode"), MODES[mode]);
    gl.bindTexture(gl.TEXTURE_2D, this.accumulated);
    if (view.pose) gl.generateMipmap(gl.TEXTURE_2D);
    const spacing = (2 * width * zoom[0]) / header.imageWidth;
    gl.uniform1f(this.show.at("level"), view.pose ? Math.max(Math.log2(spacing), 0) : -1);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}
